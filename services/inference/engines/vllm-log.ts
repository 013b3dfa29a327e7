import type { EngineProgress } from './engine.ts';

/** Stages by what a line says, the later ones first: a line of progress bars can hold several. */
const STAGES: readonly (readonly [RegExp, string])[] = [
  [/Application startup complete/, 'ready'],
  [/Capturing CUDA graph/, 'capturing CUDA graphs'],
  [/Available KV cache memory|KV cache size|GiB for KV cache on|Maximum concurrency for/, 'sizing the KV cache'],
  [
    /(?<!disabling )torch\.compile|Dynamo bytecode transform|Compiling a graph|Start compiling function|Warming up model for the compilation/,
    'compiling',
  ],
  [/Model loading took/, 'weights are loaded'],
  [/Starting to load model|Loading \S+ checkpoint shards|Loading weights took/, 'loading weights'],
  [/\.(?:safetensors|bin):\s+\d+%/, 'downloading weights'],
  [
    /Initializing a V1 LLM engine|Waiting for \d+ local.* core|Initializing distributed environment/,
    'starting the engine',
  ],
  // The version stands within a drawing of its letters since 0.32.
  [/Resolved architecture|vLLM API server version|█\s+version \d/, 'reading the model'],
];

/** How far a start is, by a line of `vllm serve`. */
export function readVllmProgress(line: string): EngineProgress | undefined {
  const stage = STAGES.find(([pattern]) => pattern.test(line))?.[1];
  if (stage === undefined) return undefined;
  const contextTokens = /Maximum concurrency for ([\d,]+) tokens per request/.exec(line)?.[1];
  return {
    stage,
    ...percentIn(line),
    ...(contextTokens === undefined ? {} : { contextTokens: Number(contextTokens.replaceAll(',', '')) }),
  };
}

/** The last percentage of a progress bar, e.g. "67% Completed | 2/3" or "45%|████▌ | 30/67". */
function percentIn(line: string): { percent: number } | undefined {
  const last = [...line.matchAll(/(\d{1,3})%(?: Completed)?\s*\|/g)].at(-1)?.[1];
  return last === undefined || Number(last) > 100 ? undefined : { percent: Number(last) };
}
