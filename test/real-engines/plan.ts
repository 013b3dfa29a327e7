import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEMO_MODEL, modelPlaces, OLLAMA_MODEL, ollamaEnvironment } from './models.ts';
import type { RealEngine, RealKind, Target } from './present-engines.ts';

/** What run.ts found and made. */
export interface Plan extends Target {
  /** Where the models are; gone after the run. */
  readonly directory: string;
  readonly engines: readonly RealEngine[];
}

/** The plan of this run. Throws when it was not started by run.ts. */
export function readPlan(): Plan {
  const path = process.env.MESH_REAL_ENGINES;
  if (path === undefined) throw new Error('start these scenarios by `npm run test:engines` or `npm run test:gpu`');
  return JSON.parse(readFileSync(path, 'utf8')) as Plan;
}

/** What is different about an engine. */
export interface Traits {
  /** The fields of its entry but name and engine. */
  readonly entry: Readonly<Record<string, unknown>>;
  /** Further fields with which it makes vectors. Unset: it makes them beside texts, or none. */
  readonly embedding?: Readonly<Record<string, unknown>>;
  /** What stands for the model where there is none. */
  readonly missingModel: string;
  /** Whether it takes arguments, so that one can be wrong. */
  readonly takesArguments: boolean;
  /** Its metrics, where it has them. */
  readonly metrics?: { readonly running: string; readonly generated: string };
  /** The command line of the process that computes, with which the engine ends. Unset: it is the engine's own. */
  readonly worker?: RegExp;
  /** The command line of a process that computes and that the engine itself replaces. Unset: there is none. */
  readonly replaced?: RegExp;
  /** A length that takes it seconds. */
  readonly long: { readonly maxTokens: number; readonly ignoreEndOfTurn?: boolean };
}

/** Several threads that wait for each other are slow where other processes want the same cores. */
const ONE_THREAD = { OMP_NUM_THREADS: '1' };

/** How an engine is configured on the target of the plan. */
export function traitsOf({ kind, program }: RealEngine, { directory, devices }: Plan): Traits {
  const { tiny, hubCache, ollamaHome } = modelPlaces(directory);
  const common = { devices, ...(program === undefined ? {} : { program }) };
  const python = { HF_HUB_OFFLINE: '1', HF_HOME: hubCache, ...(devices.length === 0 ? ONE_THREAD : {}) };
  const arguments_ = devices.length === 0 ? { extra_args: ['-t', '1'] } : {};
  const missingFolder = join(directory, 'no-such-model');
  const missingFile = join(directory, 'no-such-model.gguf');
  const traits: Record<RealKind, () => Traits> = {
    transformers: () => ({
      // One at a time: only then it repeats a seed.
      entry: { ...common, model: tiny, max_concurrency: 1, env: python },
      missingModel: missingFolder,
      takesArguments: true,
      long: { maxTokens: 16_000 },
    }),
    vllm: () => ({
      entry: {
        ...common,
        model: tiny,
        max_model_len: 16_384,
        max_concurrency: 4,
        env: devices.length === 0 ? { ...python, VLLM_CPU_KVCACHE_SPACE: '1' } : python,
        extra_args: ['--enforce-eager'],
        ...(devices.length === 0 ? {} : { gpu_memory_utilization: 0.2 }),
      },
      embedding: { task: 'embed' },
      missingModel: missingFolder,
      takesArguments: true,
      metrics: { running: 'vllm:num_requests_running', generated: 'vllm:generation_tokens_total' },
      worker: /VLLM::EngineCore/,
      long: { maxTokens: 16_000, ignoreEndOfTurn: true },
    }),
    'llama-server': () => ({
      entry: { ...common, ...arguments_, model: DEMO_MODEL, max_model_len: 1_024, max_concurrency: 2 },
      embedding: { task: 'embed', extra_args: [...(arguments_.extra_args ?? []), '--pooling', 'mean'] },
      missingModel: missingFile,
      takesArguments: true,
      metrics: { running: 'llamacpp:requests_processing', generated: 'llamacpp:tokens_predicted_total' },
      long: { maxTokens: 1_000, ignoreEndOfTurn: true },
    }),
    ollama: () => ({
      entry: {
        ...common,
        model: OLLAMA_MODEL,
        max_model_len: 1_024,
        max_concurrency: 1,
        env: { ...ollamaEnvironment(ollamaHome) },
      },
      missingModel: 'no-such-model',
      takesArguments: false,
      replaced: / runner /,
      long: { maxTokens: 1_000 },
    }),
    'llama.cpp': () => ({
      entry: { ...common, model: DEMO_MODEL, max_model_len: 1_024, max_concurrency: 2 },
      missingModel: missingFile,
      takesArguments: false,
      long: { maxTokens: 1_000 },
    }),
  };
  return traits[kind]();
}
