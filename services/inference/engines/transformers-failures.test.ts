import { expect, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { readTransformersLine, TRANSFORMERS_FAILURES } from './transformers-failures.ts';

test.each([
  [
    'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB. GPU 0 has a total capacity of 23.68 GiB',
    FailureCause.OUT_OF_MEMORY_WEIGHTS,
  ],
  ["Error: No such option '--max-model-len'.", FailureCause.BAD_FLAG],
  ['│ No such option: --max-model-len                  │', FailureCause.BAD_FLAG],
  ["Error: Invalid value for '--cb-block-size': 'abc' is not a valid integer.", FailureCause.BAD_FLAG],
  ['│ Got unexpected extra argument (x)                │', FailureCause.BAD_FLAG],
  ["ValueError: Unsupported quantization method: 'awq'. Must be 'bnb-4bit' or 'bnb-8bit'.", FailureCause.BAD_FLAG],
  [
    'ImportError: Missing dependencies for serving. Install with `pip install transformers[serving]`',
    FailureCause.EXECUTABLE_MISSING,
  ],
  [
    'importlib.metadata.PackageNotFoundError: No package metadata was found for bitsandbytes',
    FailureCause.EXECUTABLE_MISSING,
  ],
  [
    'ImportError: Using `bitsandbytes` 4-bit quantization requires bitsandbytes: `pip install -U bitsandbytes>=0.46.1`',
    FailureCause.EXECUTABLE_MISSING,
  ],
  [
    'RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU',
    FailureCause.BAD_FLAG,
  ],
  [
    "OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/none'. Use `repo_type` argument if needed.",
    FailureCause.UNSUPPORTED_MODEL,
  ],
  [
    "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
    FailureCause.UNSUPPORTED_MODEL,
  ],
  [
    'ValueError: The checkpoint you are trying to load has model type `new` but Transformers does not recognize this architecture.',
    FailureCause.UNSUPPORTED_MODEL,
  ],
  [
    "OSError: a/b is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
    FailureCause.UNSUPPORTED_MODEL,
  ],
])('%s', (line, cause) => {
  expect(TRANSFORMERS_FAILURES.find(({ pattern }) => pattern.test(line))?.cause).toBe(cause);
});

test.each([
  ['[transformers] Loading a/b@main', { stage: 'loading' }],
  ['Loading a/b@main', { stage: 'loading' }],
  ['Fetching 4 files:  25%|██▌       | 1/4 [00:01<00:03,  1.01s/it]', { stage: 'downloading', percent: 25 }],
  ['Loading weights:  45%|████▌     | 131/290 [00:02<00:03, 52.10it/s]', { stage: 'loading weights', percent: 45 }],
  [
    'Loading checkpoint shards: 100%|██████████| 2/2 [00:03<00:00,  1.50s/it]',
    { stage: 'loading weights', percent: 100 },
  ],
  ['INFO:     Uvicorn running on http://127.0.0.1:4000 (Press CTRL+C to quit)', { stage: 'server up', percent: 100 }],
  ['[transformers] [Request received] Model: a/b@main, CB: False', undefined],
])('%s', (line, progress) => {
  expect(readTransformersLine(line)).toEqual(progress);
});
