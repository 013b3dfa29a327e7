import { expect, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { failureOf } from '../supervisor/failure-cause.ts';
import { VLLM_FAILURES } from './vllm-failures.ts';

/** What stands above the telling line, whatever it is. */
const ABOVE = [
  "Triton is installed, but doesn't include CPU backend. Disabling Triton.",
  '(APIServer pid=1) WARNING 11-21 14:31:31 [system_utils.py:255] Found ulimit of 20000 and failed to automatically increase with error current limit exceeds maximum limit. This can cause fd limit errors like `OSError: [Errno 24] Too many open files`. Consider increasing with ulimit -n',
];

/** What version 0.32 ends with, the more telling lines above left out. */
test.each([
  ['vllm: error: unrecognized arguments: --colour', FailureCause.BAD_FLAG, 'refuses an argument'],
  [
    "vllm serve: error: argument --dtype: invalid choice: 'float99' (choose from 'auto', 'bfloat16', 'float', 'float16', 'float32', 'half')",
    FailureCause.BAD_FLAG,
    'refuses an argument',
  ],
  [
    "vllm serve: error: argument --max-model-len: invalid human_readable_int_or_auto value: 'x'",
    FailureCause.BAD_FLAG,
    'refuses an argument',
  ],
  [
    "OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/none'. Use `repo_type` argument if needed.",
    FailureCause.UNSUPPORTED_MODEL,
    'was not found',
  ],
  [
    "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
    FailureCause.UNSUPPORTED_MODEL,
    'cannot be reached',
  ],
  [
    "  Value error, User-specified max_model_len (99999) is greater than the derived max_model_len (max_position_embeddings=2048.0 or model_max_length=None in model's config.json). To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.",
    FailureCause.BAD_FLAG,
    'max_model_len',
  ],
  [
    "KeyError: 'invalid tool call parser: nosuch (chose from { apertus,cohere_command3,hermes })'",
    FailureCause.BAD_FLAG,
    'tool_call_parser',
  ],
  [
    "  Value error, Cannot find the config file for awq [type=value_error, input_value=ArgsKwargs((), {'model_co... 'shutdown_timeout': 0}), input_type=ArgsKwargs]",
    FailureCause.BAD_FLAG,
    'quantization',
  ],
  [
    "  Value error, Unknown quantization method: nosuch. Must be one of ['awq', 'auto_awq', 'fp8'].",
    FailureCause.BAD_FLAG,
    'quantization',
  ],
  [
    '(Worker pid=22243) ERROR 11-21 14:32:02 [multiproc_executor.py:953] ValueError: Load format `nosuch` is not supported',
    FailureCause.BAD_FLAG,
    '--load-format',
  ],
  ['OSError: [Errno 98] Address already in use', FailureCause.ORPHAN_FOUND, 'listens where'],
  [
    "  Value error, Sleep mode is not supported on current platform. [type=value_error, input_value=ArgsKwargs((), {'model': ...nderer_num_workers': 1}), input_type=ArgsKwargs]",
    FailureCause.BAD_FLAG,
    'Leave sleep_mode out',
  ],
  [
    '  Value error, Total number of attention heads (2) must be divisible by tensor parallel size (3). [type=value_error]',
    FailureCause.BAD_FLAG,
    'tensor_parallel_size',
  ],
  [
    "  Value error, Model architectures ['WaveForCausalLM'] are not supported for now. Supported architectures: dict_keys(['AfmoeForCausalLM'])",
    FailureCause.UNSUPPORTED_MODEL,
    'does not know the model',
  ],
  [
    '  Value error, The checkpoint you are trying to load has model type `brandnew` but Transformers does not recognize this architecture.',
    FailureCause.UNSUPPORTED_MODEL,
    'does not know the model',
  ],
])('%s', (line, cause, hint) => {
  const below = [
    '    For further information visit https://errors.pydantic.dev/2.14/v/value_error',
    'RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}',
  ];
  const lines = [...ABOVE, line, ...below].map((text) => ({ atMs: 0, fromStderr: true, text }));
  const failure = failureOf({ kind: 'exit', exit: { code: 1 } }, lines, VLLM_FAILURES);
  expect(failure.cause).toBe(cause);
  expect(failure.hint).toContain(hint);
  expect(failure.evidence).toContain(line);
});
