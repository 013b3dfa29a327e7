import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineProgress, FailureSignature } from './engine.ts';
import { StartRefusedError } from './start-refused.ts';

/** The texts by which Ollama's failures are known, its runner's or llama-server's included; the most telling first. */
export const OLLAMA_FAILURES: readonly FailureSignature[] = [
  {
    pattern: /failed to allocate buffer for kv cache|failed to initialize the context/i,
    cause: FailureCause.OUT_OF_MEMORY_KV_CACHE,
    hint: 'Lower max_model_len or max_concurrency: the context of every parallel request is reserved.',
  },
  {
    pattern:
      /cudaMalloc failed|hipMalloc failed|out of (?:device )?memory|memory layout cannot be allocated|unable to allocate \w+ buffer|not enough memory|requires more system memory/i,
    cause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: 'Take a smaller or more strongly quantized model, or give it more devices.',
  },
  {
    pattern:
      /unknown model architecture|error loading model|invalid file magic|unsupported model|unable to load model|does not support generate/i,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'Check the model with `ollama show`, or update Ollama.',
  },
  {
    pattern: /listen tcp \S+ bind: address already in use/,
    cause: FailureCause.DEVICE_BUSY,
    hint: 'Another process listens on the port; the next start takes another one.',
  },
  {
    pattern: /^Error: (?:unknown (?:shorthand )?flag|unknown command|accepts \d+ arg)/,
    cause: FailureCause.BAD_FLAG,
    hint: 'Correct extra_args: `ollama serve` takes its settings from variables, which go into env.',
  },
];

/** What a failed load means. */
export function loadFailure(message: string): StartRefusedError {
  const known = OLLAMA_FAILURES.find(({ pattern }) => pattern.test(message));
  const cause = known?.cause ?? FailureCause.UNSUPPORTED_MODEL;
  return new StartRefusedError(cause, message, known?.hint ?? 'The log of the engine says more: see TailLogs.');
}

/** The model is not there; it is never fetched unasked. */
export function notPulled(model: string): StartRefusedError {
  const hint = `Fetch it with \`ollama pull ${model}\`.`;
  return new StartRefusedError(
    FailureCause.UNSUPPORTED_MODEL,
    `Ollama does not have the model '${model}'. ${hint}`,
    hint,
  );
}

const LOADING: EngineProgress = { stage: 'loading weights' };

const STAGES: readonly (readonly [RegExp, EngineProgress])[] = [
  [/msg="Listening on /, { stage: 'server up' }],
  // Without a model a runner looks for devices only.
  [/msg="(?:loading model via llama-server|starting llama-server|starting runner" cmd=".* --model )/, LOADING],
  [/\bCUDA\d+ model buffer size|msg="model weights" device=CUDA\d/, { stage: 'loading weights', deviceKind: 'cuda' }],
  [/\bKV buffer size/, { stage: 'allocating KV cache' }],
  [/(?:llama-server|runner) started in/, { stage: 'loaded', percent: 100 }],
];

/** What a line of `ollama serve` says about its start. */
export function readOllamaLine(line: string): EngineProgress | undefined {
  return STAGES.find(([pattern]) => pattern.test(line))?.[1];
}
