// The flags, log lines and failures of text-generation-launcher, in its own words.
import { flag, type Tool, toggle } from '../kit/arguments.ts';
import type { FailedStart } from '../kit/fault-script.ts';
import type { FailedStartText } from '../kit/life.ts';

const integer = (...names: string[]) => ({ names, is: 'integer' as const });
const number = (...names: string[]) => ({ names, is: 'number' as const });

/** Its command line. */
export const TGI_TOOL: Tool = {
  name: 'text-generation-launcher',
  library: 'clap',
  flags: [
    flag('--model-id'),
    flag('--revision'),
    integer('--validation-workers'),
    flag('--sharded'),
    integer('--num-shard'),
    {
      names: ['--quantize'],
      choices: [
        'awq',
        'compressed-tensors',
        'eetq',
        'exl2',
        'gptq',
        'marlin',
        'bitsandbytes',
        'bitsandbytes-nf4',
        'bitsandbytes-fp4',
        'fp8',
      ],
    },
    integer('--speculate'),
    { names: ['--dtype'], choices: ['float16', 'bfloat16'] },
    { names: ['--kv-cache-dtype'], choices: ['fp8_e4m3fn', 'fp8_e5m2'] },
    toggle('--trust-remote-code'),
    integer('--max-concurrent-requests'),
    integer('--max-best-of'),
    integer('--max-stop-sequences'),
    integer('--max-top-n-tokens'),
    integer('--max-input-tokens'),
    integer('--max-input-length'),
    integer('--max-total-tokens'),
    number('--waiting-served-ratio'),
    integer('--max-batch-prefill-tokens'),
    integer('--max-batch-total-tokens'),
    integer('--max-waiting-tokens'),
    integer('--max-batch-size'),
    flag('--cuda-graphs'),
    flag('--hostname'),
    integer('--port', '-p'),
    integer('--prometheus-port'),
    flag('--shard-uds-path'),
    flag('--master-addr'),
    integer('--master-port'),
    flag('--huggingface-hub-cache'),
    flag('--weights-cache-override'),
    toggle('--disable-custom-kernels'),
    number('--cuda-memory-fraction'),
    { names: ['--rope-scaling'], choices: ['linear', 'dynamic'] },
    number('--rope-factor'),
    toggle('--json-output'),
    flag('--otlp-endpoint'),
    flag('--otlp-service-name'),
    flag('--cors-allow-origin'),
    flag('--api-key'),
    flag('--tokenizer-config-path'),
    toggle('--disable-grammar-support'),
    toggle('--env', '-e'),
    integer('--max-client-batch-size'),
    flag('--lora-adapters'),
    { names: ['--usage-stats'], choices: ['on', 'off', 'no-stack'] },
    integer('--payload-limit'),
    toggle('--enable-prefill-logprobs'),
    integer('--graceful-termination-timeout', '-g'),
  ],
};

/** What it logs while it loads. */
export function tgiStartLines(shards: number): string[] {
  const log = (message: string): string => `2026-01-08T10:00:00.000000Z  INFO text_generation_launcher: ${message}`;
  return [
    log('Args {'),
    log('Starting check and download process for the model'),
    log('Download: [1/2] -- ETA: 0:00:05'),
    log('Download: [2/2] -- ETA: 0'),
    log('Successfully downloaded weights for the model'),
    ...Array.from({ length: shards }, (_, rank) => log(`Starting shard rank=${rank}`)),
    log('Waiting for shard to be ready...'),
    ...Array.from({ length: shards }, (_, rank) => log(`Shard ready in 12.3s rank=${rank}`)),
    log('Starting Webserver'),
    '2026-01-08T10:00:00.000000Z  INFO text_generation_router_v3: backends/v3/src/lib.rs:125: Warming up model',
    log('Cuda Graphs are enabled for sizes [1, 2, 4, 8]'),
    '2026-01-08T10:00:00.000000Z  INFO text_generation_router_v3: backends/v3/src/lib.rs:137: Setting max batch total tokens to 90112',
  ];
}

/** What it prints when a start fails, and how it ends. */
export function tgiFailures(): Record<FailedStart, FailedStartText> {
  const shard = (...lines: string[]): FailedStartText => ({
    exitCode: 1,
    lines: [
      'ERROR text_generation_launcher: Shard complete standard error output:',
      'Traceback (most recent call last):',
      ...lines,
      'ERROR text_generation_launcher: Shard 0 failed to start',
      'INFO text_generation_launcher: Shutting down shards',
      'Error: ShardCannotStart',
    ],
  });
  const web = (...lines: string[]): FailedStartText => ({
    exitCode: 1,
    lines: [...lines, 'ERROR text_generation_launcher: Webserver Crashed', 'Error: WebserverFailed'],
  });
  return {
    'oom-weights': shard(
      'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB. GPU 0 has a total capacity of 23.69 GiB of which 1.12 GiB is free.',
    ),
    'oom-kv': web(
      'Error: Backend(Warmup(Generation("Not enough memory to handle 4096 prefill tokens. You need to decrease `--max-batch-prefill-tokens`")))',
    ),
    'device-busy': shard('RuntimeError: CUDA error: all CUDA-capable devices are busy or unavailable'),
    'bad-flag': {
      exitCode: 1,
      lines: ['Error: ArgumentValidation("`max_input_tokens must be < `max_total_tokens`")'],
    },
    'unsupported-model': shard('ValueError: Unsupported model type whisper'),
    nccl: shard(
      'torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1970, unhandled system error, NCCL version 2.21.5',
      'ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.',
    ),
  };
}
