// What `transformers serve` prints, and how its starts fail.
import type { FailedStart } from '../kit/fault-script.ts';
import type { FailedStartText } from '../kit/life.ts';

/** How Transformers 5 begins the lines of its own; earlier versions do not. */
const OWN_LINE = '[transformers] ';

/** What loading says; the bars are those of a terminal, over and over in one line. */
export function loadLines(model: string, isOlder: boolean): string[] {
  return [
    `${isOlder ? '' : OWN_LINE}Loading ${model.includes('@') ? model : `${model}@main`}`,
    'Fetching 2 files:  50%|█████     | 1/2 [00:01<00:01,  1.01s/it]',
    [
      'Loading weights:   0%|          | 0/290 [00:00<?, ?it/s]',
      'Loading weights:  45%|████▌     | 131/290 [00:02<00:03, 52.10it/s]',
      'Loading weights: 100%|██████████| 290/290 [00:05<00:00, 52.10it/s]',
    ].join('\r'),
  ];
}

/** What it says of a request whose sampling it leaves aside, because nothing says that it shall sample. */
export function ignoredFlagsLine(flags: readonly string[]): string {
  const list = flags.map((flag) => `'${flag}'`).join(', ');
  return `${OWN_LINE}The following generation flags are not valid and may be ignored: [${list}]. Set \`TRANSFORMERS_VERBOSITY=info\` for more details.`;
}

/** What uvicorn says; only then it answers. */
export function readyLines(port: number): string[] {
  return [
    'INFO:     Started server process [4711]',
    'INFO:     Waiting for application startup.',
    'INFO:     Application startup complete.',
    `INFO:     Uvicorn running on http://127.0.0.1:${port} (Press CTRL+C to quit)`,
  ];
}

const traceback = (...lines: string[]): FailedStartText => ({
  lines: ['Traceback (most recent call last):', '  File "transformers/cli/serve.py", line 151, in __init__', ...lines],
  exitCode: 1,
});

const outOfMemory = traceback(
  'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB. GPU 0 has a total capacity of 23.68 GiB of which 1.20 GiB is free.',
);

/** The cache grows with every request, so a start fails for its weights only. */
export const FAILURES: Readonly<Record<FailedStart, FailedStartText>> = {
  'oom-weights': outOfMemory,
  'oom-kv': outOfMemory,
  'device-busy': traceback('torch.AcceleratorError: CUDA error: CUDA-capable device(s) is/are busy or unavailable'),
  'bad-flag': {
    lines: [
      'Usage: transformers serve [OPTIONS] [FORCE_MODEL]',
      "Try 'transformers serve --help' for help.",
      '',
      "Error: No such option '--no-such-flag'.",
    ],
    exitCode: 2,
  },
  'unsupported-model': traceback(
    'ValueError: The checkpoint you are trying to load has model type `brandnew` but Transformers does not recognize this architecture.',
  ),
  nccl: traceback('torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:77, unhandled cuda error'),
};
