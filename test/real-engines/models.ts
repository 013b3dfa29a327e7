import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, freePort, startProgram } from '../harness/processes.ts';
import { ROOT } from './places.ts';
import { pythonBeside, type RealEngine } from './present-engines.ts';

/** The model that ships, for engines of GGUF files. */
export const DEMO_MODEL = join(ROOT, 'models/demo/mesh-demo.gguf');

/** The name of that model in Ollama's store. */
export const OLLAMA_MODEL = 'mesh-demo';

/** Where the models of a run are. */
export const modelPlaces = (directory: string) => ({
  /** A tiny random model with its tokenizer. */
  tiny: join(directory, 'tiny'),
  /** Ollama's own home, with its store and its key. */
  ollamaHome: join(directory, 'ollama'),
  /** Python's cache of a hub that is never asked. */
  hubCache: join(directory, 'hub'),
});

/** Makes the models that the engines need, on the spot. */
export async function makeModels(engines: readonly RealEngine[], directory: string): Promise<void> {
  const { tiny, ollamaHome, hubCache } = modelPlaces(directory);
  // Without that folder `transformers serve` cannot list models.
  mkdirSync(join(hubCache, 'hub'), { recursive: true });
  const python = engines.find(({ kind, program }) => program && (kind === 'transformers' || kind === 'vllm'));
  if (python?.program !== undefined) {
    const script = join(import.meta.dirname, 'python/tiny_model.py');
    execFileSync(pythonBeside(python.program), [script, tiny], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  const ollama = engines.find(({ kind, program }) => kind === 'ollama' && program)?.program;
  if (ollama !== undefined) await fillOllama(ollama, ollamaHome);
}

/** The variables with which Ollama uses a home of its own. */
export const ollamaEnvironment = (home: string) => ({ HOME: home, OLLAMA_MODELS: join(home, 'models') });

/** Has Ollama take the shipped model into its store. */
async function fillOllama(program: string, home: string): Promise<void> {
  mkdirSync(home, { recursive: true });
  const modelfile = join(home, 'Modelfile');
  writeFileSync(modelfile, `FROM ${DEMO_MODEL}\n`);
  const address = `127.0.0.1:${await freePort()}`;
  const env = { ...ollamaEnvironment(home), OLLAMA_HOST: address };
  const server = startProgram(program, ['serve'], env);
  try {
    await eventually('Ollama answers', async () => (await fetch(`http://${address}/api/version`)).ok, 60_000);
    execFileSync(program, ['create', OLLAMA_MODEL, '-f', modelfile], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  } finally {
    await server.stop();
  }
}
