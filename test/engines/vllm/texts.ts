// What the real vLLM logs, in its own words.
import type { FailedStart } from '../kit/fault-script.ts';
import type { FailedStartText } from '../kit/life.ts';

/** A start from the first line to the server, on two devices. */
export const START_LINES = [
  'INFO 05-06 20:58:40 [api_server.py:1351] vLLM API server version 0.30.0',
  'INFO 05-06 20:58:50 [model.py:547] Resolved architecture: Qwen3ForCausalLM',
  "(EngineCore pid=34100) INFO 05-06 20:59:01 [core.py:93] Initializing a V1 LLM engine (v0.30.0) with config: model='m'",
  '(Worker_TP0 pid=34322) INFO 05-06 20:59:20 [gpu_model_runner.py:4700] Starting to load model m...',
  'Loading safetensors checkpoint shards:   0% Completed | 0/3 [00:00<?, ?it/s]',
  'Loading safetensors checkpoint shards:  67% Completed | 2/3 [00:16<00:08,  2.94s/it]',
  '(Worker_TP0 pid=34322) INFO 05-06 20:59:59 [gpu_model_runner.py:4879] Model loading took 12.66 GiB memory and 31.6 seconds',
  '(Worker_TP0 pid=34322) INFO 05-06 21:00:16 [backends.py:1128] Dynamo bytecode transform time: 3.54 s',
  '(Worker_TP0 pid=34322) INFO 05-06 21:00:42 [gpu_worker.py:440] Available KV cache memory: 7.51 GiB',
  '(EngineCore pid=34100) INFO 05-06 21:00:42 [kv_cache_utils.py:1319] Maximum concurrency for 4,096 tokens per request: 15.70x',
  'Capturing CUDA graphs (decode, FULL):  45%|████▌     | 30/67 [00:03<00:03, 11.2it/s]',
];

/** When it answers. */
export const READY_LINES = ['INFO:     Started server process [34000]', 'INFO:     Application startup complete.'];

const ENGINE_FAILED = [
  '(APIServer pid=34000) Traceback (most recent call last):',
  '(APIServer pid=34000)   File "vllm/v1/engine/utils.py", line 975, in wait_for_engine_startup',
  '(APIServer pid=34000) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}',
];

/** A failed start: the root cause, and below it what hides it. */
export const FAILURES: Readonly<Record<FailedStart, FailedStartText>> = {
  'oom-weights': {
    lines: [
      '(EngineCore pid=34100) ERROR 05-06 20:59:30 [core.py:843] EngineCore failed to start.',
      '(EngineCore pid=34100) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.02 GiB. GPU 0 has a total capacity of 23.64 GiB of which 512.00 MiB is free.',
      ...ENGINE_FAILED,
    ],
    exitCode: 1,
  },
  'oom-kv': {
    lines: [
      "(EngineCore pid=34100) ValueError: To serve at least one request with the models's max seq len (40960), (5.62 GiB KV cache is needed, which is larger than the available KV cache memory (3.10 GiB). Based on the available memory, the estimated maximum model length is 22528.",
      ...ENGINE_FAILED,
    ],
    exitCode: 1,
  },
  'device-busy': {
    lines: [
      '(EngineCore pid=34100) ValueError: Free memory on device cuda:0 (3.11/23.64 GiB) on startup is less than desired GPU memory utilization (0.9, 21.28 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.',
      ...ENGINE_FAILED,
    ],
    exitCode: 1,
  },
  'bad-flag': {
    lines: [
      'usage: vllm [-h] [-v] {chat,complete,serve,launch,bench,collect-env,run-batch} ...',
      'vllm: error: unrecognized arguments: --colour',
    ],
    exitCode: 2,
  },
  'unsupported-model': {
    lines: [
      '(APIServer pid=34000) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig',
      "(APIServer pid=34000)   Value error, Model architectures ['WaveForCausalLM'] are not supported for now. Supported architectures: dict_keys(['LlamaForCausalLM'])",
    ],
    exitCode: 1,
  },
  nccl: {
    lines: [
      '(Worker_TP1 pid=34323) RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)',
      ...ENGINE_FAILED,
    ],
    exitCode: 1,
  },
};
