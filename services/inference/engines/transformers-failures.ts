import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineProgress, FailureSignature } from './engine.ts';

/** The texts by which failures of `transformers serve` are known, the most telling first. */
export const TRANSFORMERS_FAILURES: readonly FailureSignature[] = [
  {
    pattern: /torch\.(?:cuda\.)?OutOfMemoryError|CUDA out of memory/,
    cause: FailureCause.OUT_OF_MEMORY_WEIGHTS,
    hint: 'Set quantization (bnb-8bit, bnb-4bit) or dtype, or give it more devices.',
  },
  {
    pattern:
      /No such option:? |Got unexpected extra argument|Invalid value for |Unsupported (?:dtype|quantization method|attention implementation): /,
    cause: FailureCause.BAD_FLAG,
    hint: 'Correct the entry or its extra_args; `transformers serve --help` lists what the installed version takes.',
  },
  {
    pattern: /Missing dependencies for serving/,
    cause: FailureCause.EXECUTABLE_MISSING,
    hint: "Install it with its server: pip install 'transformers[serving]'.",
  },
  {
    pattern: /No package metadata was found for bitsandbytes|requires .*bitsandbytes/i,
    cause: FailureCause.EXECUTABLE_MISSING,
    hint: 'quantization needs the package bitsandbytes beside Transformers.',
  },
  {
    pattern: /Found no NVIDIA driver on your system|Torch not compiled with CUDA enabled/,
    cause: FailureCause.BAD_FLAG,
    hint: 'There is no CUDA here: set devices to [] for the CPU, or install the driver and a PyTorch with CUDA.',
  },
  {
    pattern: /couldn't connect to '\S+' to load the files/i,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'The model is not on this machine and the hub is not reachable: fetch it before, or correct its name or path.',
  },
  {
    pattern:
      /does not recognize this architecture|Repo id must be in the form|Unrecognized model in |Unknown modality for|is not a valid model identifier|not the path to a directory containing a file named config\.json/,
    cause: FailureCause.UNSUPPORTED_MODEL,
    hint: 'Check the name or path of the model, or update Transformers.',
  },
];

const STAGES: readonly (readonly [RegExp, EngineProgress])[] = [
  [/^(?:\[transformers\] )?Loading .+@\S+$/, { stage: 'loading' }],
  [/Application startup complete|Uvicorn running on/, { stage: 'server up', percent: 100 }],
];

/** A bar of tqdm: "Loading weights:  45%|████▌     | 131/290 [00:02<00:03, 52.1it/s]". */
const BAR = /^\s*(?<what>[^|]*?):\s+(?<percent>\d{1,3})%\|/;

/** What a line says about the start. */
export function readTransformersLine(line: string): EngineProgress | undefined {
  const known = STAGES.find(([pattern]) => pattern.test(line))?.[1];
  if (known) return known;
  const bar = BAR.exec(line)?.groups;
  if (!bar) return undefined;
  const loads = /loading (?:weights|checkpoint)/i.test(bar.what ?? '');
  return { stage: loads ? 'loading weights' : 'downloading', percent: Math.min(100, Number(bar.percent)) };
}
