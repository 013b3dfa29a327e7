import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** An engine that runs a model of the Hugging Face hub by its id. */
export interface HubEngine {
  readonly engine: 'vllm' | 'tgi' | 'transformers';
  /** What is looked up on PATH and started. */
  readonly program: string;
  /** What a person installs. */
  readonly product: string;
  /** Arguments for a model that an operator has not configured: it loads no pickled weights, which can hold programs. */
  readonly safety: readonly string[];
}

/** The preferred one first. All of them have builds for the CPU. None runs a model's own code unless told. */
export const HUB_ENGINES: readonly HubEngine[] = [
  { engine: 'vllm', program: 'vllm', product: 'vllm', safety: ['--load-format', 'safetensors'] },
  { engine: 'tgi', program: 'text-generation-launcher', product: 'text-generation-inference', safety: [] },
  { engine: 'transformers', program: 'transformers', product: 'transformers', safety: [] },
];

/** The first engine for models of the hub whose program is on PATH. Starts nothing. Undefined: there is none. */
export async function installedHubEngine(
  environmentVariable: (name: string) => string | undefined,
): Promise<HubEngine | undefined> {
  const path = environmentVariable('PATH') ?? '';
  for (const engine of HUB_ENGINES) if (await isOnPath(engine.program, path)) return engine;
  return undefined;
}

async function isOnPath(program: string, path: string): Promise<boolean> {
  if (path === '') return false;
  for (const directory of path.split(delimiter)) {
    // An empty part is the working directory, as for the shell that starts the program.
    if (await isExecutable(join(directory || '.', program))) return true;
  }
  return false;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    if (!(await stat(path)).isFile()) return false;
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
