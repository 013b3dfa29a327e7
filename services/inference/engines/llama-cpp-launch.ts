import { fileURLToPath } from 'node:url';
import type { EngineLaunch, EnginePlace, EngineProgress, EngineSetting } from './engine.ts';
import type { LlamaCppEntry } from './llama-cpp-entry.ts';
import { processLaunch, type StartedEntry } from './process-launch.ts';

const CHILD_PROGRAM = fileURLToPath(new URL('../embedded/main.ts', import.meta.url));
const KEY_VARIABLE = 'MESH_ENGINE_KEY';
const COMPILED_CODE_VARIABLE = 'NODE_COMPILE_CACHE';

/** Where one start runs and listens. */
export interface LlamaCppPlace extends EnginePlace {
  readonly socketPath: string;
  readonly apiKey: string;
}

/** The process of one start: Node.js with our own program. */
export function llamaCppLaunch(entry: LlamaCppEntry, setting: EngineSetting, place: LlamaCppPlace): EngineLaunch {
  const child = [CHILD_PROGRAM, '--model', entry.model, '--socket', place.socketPath];
  if (entry.max_model_len !== undefined) child.push('--context', String(entry.max_model_len));
  if (entry.max_concurrency !== undefined) child.push('--sequences', String(entry.max_concurrency));
  child.push('--gpu', gpuChoice(entry, setting), '--api-key-env', KEY_VARIABLE);
  const compiledCode = setting.environmentVariable(COMPILED_CODE_VARIABLE);
  return processLaunch(entry, place, {
    program: setting.nodePath,
    // Kept where the mesh keeps its own (bin/node.sh): a start takes half the CPU time.
    ...(compiledCode !== undefined && { defaults: { [COMPILED_CODE_VARIABLE]: compiledCode } }),
    // The young generation is capped as in the mesh itself: uncapped it only costs memory.
    args: ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', ...child],
    apiKey: { variable: KEY_VARIABLE, value: place.apiKey },
    readLine: readProgress,
    failures: [],
  });
}

/** Where there is no room for it on CUDA's devices none of them is shown to it; other makers' GPUs are its to find. */
function gpuChoice({ devices, cudaOnly }: StartedEntry, setting: EngineSetting): 'auto' | 'none' | 'cuda' {
  if (devices?.length === 0) return 'none';
  // Asked for it does not fall back to something slower in silence.
  return devices === undefined && cudaOnly !== true ? setting.gpu : 'cuda';
}

/** A line of the child's standard output, if it is one of its reports. */
function readProgress(line: string, fromStderr: boolean): EngineProgress | undefined {
  if (fromStderr) return undefined;
  if (!line.startsWith('{')) return undefined;
  let report: Readonly<Record<string, unknown>>;
  try {
    report = JSON.parse(line);
  } catch {
    return undefined; // Some other output that happens to start with a brace.
  }
  if (report.event === 'loading') return { stage: 'loading weights', percent: number(report.percent) };
  if (report.event !== 'ready') return undefined;
  const device = report.device;
  return {
    stage: 'ready',
    deviceKind: typeof device === 'string' ? device : undefined,
    contextTokens: number(report.contextTokens),
    maxConcurrency: number(report.sequences),
  };
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? Math.round(value) : undefined;
}
