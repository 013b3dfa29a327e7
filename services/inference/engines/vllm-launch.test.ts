import { Client } from 'undici';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FailedStart } from '../../../test/engines/kit/fault-script.ts';
import { failureIn } from '../../../test/engines/launched-engine.ts';
import { MODEL, signal, start, startReady, TIMEOUT_MS, type Vllm } from '../../../test/engines/vllm/start.ts';

describe('one that behaves', { timeout: TIMEOUT_MS }, () => {
  let engine: Vllm;
  beforeAll(async () => {
    engine = start(
      {},
      {
        devices: [3, 1],
        max_model_len: 4_096,
        max_concurrency: 16,
        dtype: 'bfloat16',
        tool_call_parser: 'hermes',
        reasoning_parser: 'qwen3',
      },
      [3, 1],
    );
    await engine.untilReady();
  }, TIMEOUT_MS);
  afterAll(() => engine.close());

  test('is started on a socket, with its key in no argument and on its devices alone', () => {
    const { argv, env } = engine.record();
    const socket = engine.socketPath;
    expect(socket).toMatch(new RegExp(`^${engine.folder.directory}/[0-9a-f]{8}\\.sock$`));
    expect(argv).toEqual([
      ...['serve', MODEL, '--uds', socket, '--served-model-name', MODEL, '--enable-request-id-headers'],
      ...['--enable-prompt-tokens-details', '--no-enable-log-requests', '--disable-uvicorn-access-log'],
      ...['--enable-auto-tool-choice', '--tool-call-parser', 'hermes', '--reasoning-parser', 'qwen3'],
      ...['--gpu-memory-utilization', '0.9', '--tensor-parallel-size', '2'],
      ...['--max-model-len', '4096', '--max-num-seqs', '16', '--dtype', 'bfloat16'],
    ]);
    const { FAKE_SCRIPT: _, FAKE_RECORD: __, ...own } = env;
    expect(own).toMatchObject({
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      CUDA_VISIBLE_DEVICES: '3,1',
      VLLM_NO_USAGE_STATS: '1',
      DO_NOT_TRACK: '1',
      HF_HUB_DISABLE_TELEMETRY: '1',
      HF_TOKEN: 'hf-secret-value',
      VLLM_API_KEY: expect.stringMatching(/^[\w-]{32}$/),
      MESH_ENGINE_MARK: engine.child.mark,
    });
    expect(engine.connection.launch?.secrets).toEqual([own.VLLM_API_KEY, 'hf-secret-value']);
    const few = [
      'PATH',
      // What bin/node.sh, which the fake runs by, sets for itself.
      'NODE_COMPILE_CACHE',
      'MALLOC_ARENA_MAX',
      'MALLOC_TRIM_THRESHOLD_',
      'HOME',
      'LANG',
      'TMPDIR',
      'LD_LIBRARY_PATH',
      'NO_COLOR',
      'SPT_NOENV',
      'PWD',
      'SHLVL',
      'OLDPWD',
      '_',
    ];
    const expected = ['CUDA_', 'VLLM_', 'HF_', 'DO_NOT', 'MESH_ENGINE_MARK', 'RAY_'];
    const others = Object.keys(own).filter(
      (name) => !few.includes(name) && !expected.some((one) => name.startsWith(one)),
    );
    expect(others).toEqual([]);
  });

  test('tells how far it is, then what it serves and how busy it is', async () => {
    expect(
      engine.progress.map(({ stage, percent }) => (percent === undefined ? stage : `${stage} ${percent}`)),
    ).toEqual([
      'reading the model',
      'reading the model',
      'starting the engine',
      'loading weights',
      'loading weights 0',
      'loading weights 67',
      'weights are loaded',
      'compiling',
      'sizing the KV cache',
      'sizing the KV cache',
      'capturing CUDA graphs 45',
      'ready',
    ]);
    expect(engine.progress.find(({ contextTokens }) => contextTokens)?.contextTokens).toBe(4_096);
    const { step } = await engine.state();
    expect(await engine.connection.probe(signal())).toMatchObject({
      modelId: MODEL,
      contextTokens: 4_096,
      running: 0,
      waiting: 0,
      step,
      kvCacheUsed: expect.any(Number),
    });
  });

  test('nobody gets in without the key', async () => {
    const client = new Client('http://localhost', { socketPath: engine.socketPath });
    const { statusCode, body } = await client.request({ method: 'GET', path: '/v1/models' });
    await body.dump();
    await client.close();
    expect(statusCode).toBe(401);
  });
});

test('a model that spans hosts runs on an existing Ray cluster', { timeout: TIMEOUT_MS }, async () => {
  const fields = { ray_address: '10.0.0.1:6379', devices: [0, 1], tensor_parallel_size: 4, pipeline_parallel_size: 2 };
  const engine = await startReady({}, fields, [0, 1]);
  const { argv, env } = engine.record();
  expect(env.RAY_ADDRESS).toBe('10.0.0.1:6379');
  expect(argv.slice(-8)).toEqual([
    ...['--gpu-memory-utilization', '0.9', '--tensor-parallel-size', '4', '--pipeline-parallel-size', '2'],
    ...['--distributed-executor-backend', 'ray'],
  ]);
});

test.each([
  ['oom-weights', FailureCause.OUT_OF_MEMORY_WEIGHTS, 1],
  ['oom-kv', FailureCause.OUT_OF_MEMORY_KV_CACHE, 1],
  ['device-busy', FailureCause.DEVICE_BUSY, 1],
  ['bad-flag', FailureCause.BAD_FLAG, 2],
  ['unsupported-model', FailureCause.UNSUPPORTED_MODEL, 1],
  ['nccl', FailureCause.NCCL, 1],
] as [FailedStart, FailureCause, number][])(
  'a start that fails: %s',
  { timeout: TIMEOUT_MS },
  async (failStart, cause, code) => {
    const engine = start({ failStart });
    onTestFinished(() => engine.close());
    expect(await engine.child.exited).toMatchObject({ code });
    await engine.child.outputEnded;
    expect(failureIn(engine.lines, engine.connection.launch?.failures ?? [])?.cause).toBe(cause);
  },
);

test('an argument that it does not know is refused in its own words', { timeout: TIMEOUT_MS }, async () => {
  const engine = start({}, { extra_args: ['--colour', 'red'] });
  onTestFinished(() => engine.close());
  expect(await engine.child.exited).toMatchObject({ code: 2 });
  await engine.child.outputEnded;
  expect(engine.lines).toContain('vllm: error: unrecognized arguments: --colour');
  expect(failureIn(engine.lines, engine.connection.launch?.failures ?? [])?.cause).toBe(FailureCause.BAD_FLAG);
});
