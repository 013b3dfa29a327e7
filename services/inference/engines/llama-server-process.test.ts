import { describe, expect, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { FailedStart } from '../../../test/engines/kit/fault-script.ts';
import { engineFolder, failureIn, until } from '../../../test/engines/launched-engine.ts';
import {
  entryOf,
  type Fields,
  probe,
  socketOf,
  start,
  TIMEOUT_MS,
  withFake,
} from '../../../test/engines/llama-server/start.ts';
import { isRunning } from '../../../test/engines/processes.ts';
import { llamaServerEngine } from './llama-server.ts';
import { LLAMA_SERVER_FAILURES, readLlamaServerProgress } from './llama-server-launch.ts';

describe('the process', () => {
  test(
    'command line and environment, on two devices',
    async () => {
      const folder = engineFolder();
      const fields = {
        max_model_len: 4096,
        max_concurrency: 3,
        gpu_layers: 20,
        extra_args: ['--flash-attn', 'on'],
        env: { LLAMA_ARG_THREADS: '4' },
      };
      const engine = start(folder, {}, fields, [2, 0]);
      try {
        await engine.untilReady();
        const { argv, env } = engine.record();
        const socket = socketOf(engine);
        expect(socket).toMatch(new RegExp(`^${folder.directory}/[0-9a-f]{8}\\.sock$`));
        expect(argv).toEqual([
          ...['-m', '/models/Qwen3-8B-Q4_K_M.gguf', '--host', socket, '--alias', 'Qwen3-8B-Q4_K_M'],
          ...['--metrics', '--slots', '--no-webui', '--jinja', '-c', '12288', '-np', '3'],
          ...['-ngl', '20', '--device', 'CUDA0,CUDA1', '--flash-attn', 'on'],
        ]);
        expect(env).toMatchObject({
          CUDA_VISIBLE_DEVICES: '2,0',
          CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
          LLAMA_ARG_THREADS: '4',
          LLAMA_API_KEY: expect.stringMatching(/^[\w-]{32}$/),
        });
        expect(engine.connection.launch?.secrets).toContain(env.LLAMA_API_KEY);
        expect(await probe(engine)).toMatchObject({ modelId: 'Qwen3-8B-Q4_K_M', contextTokens: 4096 });
      } finally {
        await engine.close();
        folder.remove();
      }
    },
    TIMEOUT_MS,
  );

  test('without devices nothing is offloaded; embeddings only when asked', () => {
    const place = { devices: [], ports: [] };
    const setting = { runDirectory: '/run', nodePath: '', gpu: 'auto' as const, environmentVariable: () => undefined };
    const argsOf = (fields: Fields, devices: readonly number[] = []) =>
      llamaServerEngine(entryOf(fields))
        .connect(setting, { ...place, devices })
        .launch?.args.slice(10);
    expect(argsOf({})).toEqual(['-ngl', '0', '--device', 'none']);
    expect(argsOf({ max_model_len: 100 })).toEqual(['-c', '100', '-ngl', '0', '--device', 'none']);
    expect(argsOf({}, [5])).toEqual(['-ngl', '999', '--device', 'CUDA0']);
    expect(argsOf({ task: 'embed' })).toEqual(['-ngl', '0', '--device', 'none', '--embedding']);
  });

  test('no layers on a device: no demand', async () => {
    expect(await llamaServerEngine(entryOf({ gpu_layers: 0 })).demand()).toBeUndefined();
    expect(await llamaServerEngine(entryOf({ devices: [] })).demand()).toBeUndefined();
  });

  test(
    'not ready while it loads, with progress out of its log; then ready, with identity and metrics',
    async () => {
      const folder = engineFolder();
      const engine = start(folder, { startMs: 600 }, {}, [0]);
      try {
        await until(() => engine.progress.length > 0);
        await expect(probe(engine)).rejects.toMatchObject({ reason: 'ENGINE_BUSY' });
        await engine.untilReady();
        const stages = engine.progress.map(({ stage }) => stage);
        expect(stages.filter((stage, index) => stage !== stages[index - 1])).toEqual([
          'reading the model file',
          'looking for devices',
          'reading the model file',
          'loading weights',
          'making the cache',
          'warming up',
          'making slots',
          'loaded',
        ]);
        const learned = Object.assign({}, ...engine.progress);
        expect(learned).toMatchObject({ deviceKind: 'cuda', maxConcurrency: 4, contextTokens: 8192 });
        expect(await probe(engine)).toEqual({
          modelId: 'Qwen3-8B-Q4_K_M',
          contextTokens: 8192,
          running: 0,
          waiting: 0,
          step: 0,
          promptTokens: 0,
          generatedTokens: 0,
        });
      } finally {
        await engine.close();
        folder.remove();
      }
    },
    TIMEOUT_MS,
  );

  test('lines that are no progress are none', () => {
    expect(readLlamaServerProgress('slot update_slots: id 0 | task 5 | prompt done')).toBeUndefined();
    expect(readLlamaServerProgress('load_tensors: offloaded 0/33 layers to GPU')).toMatchObject({ deviceKind: 'cpu' });
  });

  test(
    'another model is told as it is',
    () =>
      withFake({ wrongModel: 'other' }, async (engine) => {
        expect(await probe(engine)).toMatchObject({ modelId: 'other' });
      }),
    TIMEOUT_MS,
  );

  test.each<[FailedStart, FailureCause]>([
    ['oom-weights', FailureCause.OUT_OF_MEMORY_WEIGHTS],
    ['oom-kv', FailureCause.OUT_OF_MEMORY_KV_CACHE],
    ['device-busy', FailureCause.DEVICE_BUSY],
    ['bad-flag', FailureCause.BAD_FLAG],
    ['unsupported-model', FailureCause.UNSUPPORTED_MODEL],
    ['nccl', FailureCause.NCCL],
  ])(
    'the texts of %s tell the cause',
    async (failStart, cause) => {
      const folder = engineFolder();
      const engine = start(folder, { failStart });
      expect((await engine.child.exited).code).toBe(1);
      await engine.child.outputEnded;
      expect(failureIn(engine.lines, LLAMA_SERVER_FAILURES)?.cause).toBe(cause);
      await engine.close();
      folder.remove();
    },
    TIMEOUT_MS,
  );

  test('memory that it finds another way for is no failure', () => {
    const line = 'llama_context: failed to allocate compute pp buffers, retrying without pipeline parallelism';
    expect(failureIn([line], LLAMA_SERVER_FAILURES)).toBeUndefined();
    expect(failureIn([line.split(',')[0] ?? ''], LLAMA_SERVER_FAILURES)?.cause).toBe(
      FailureCause.OUT_OF_MEMORY_KV_CACHE,
    );
  });

  test(
    'an unknown flag is refused in its words',
    async () => {
      const folder = engineFolder();
      const engine = start(folder, {}, { extra_args: ['--no-such-flag'] });
      expect((await engine.child.exited).code).toBe(1);
      await engine.child.outputEnded;
      expect(failureIn(engine.lines, LLAMA_SERVER_FAILURES)?.cause).toBe(FailureCause.BAD_FLAG);
      await engine.close();
      folder.remove();
    },
    TIMEOUT_MS,
  );

  test(
    'SIGTERM that it ignores: SIGKILL ends it',
    () =>
      withFake({ ignoreTerm: true }, async ({ child, connection, record }) => {
        const { processId } = record();
        child.signal('SIGTERM');
        // It answers after the signal has come: it has ignored it.
        await connection.probe(AbortSignal.timeout(TIMEOUT_MS));
        expect(isRunning(processId)).toBe(true);
        child.signal('SIGKILL');
        expect((await child.exited).signal).toBe('SIGKILL');
        await until(() => !isRunning(processId));
      }),
    TIMEOUT_MS,
  );
});
