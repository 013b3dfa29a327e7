import { describe, expect, test } from 'vitest';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type FailedStart, scripted } from '../../../test/engines/kit/fault-script.ts';
import {
  engineFolder,
  failureIn,
  fakeState,
  freePorts,
  startEngine,
  until,
} from '../../../test/engines/launched-engine.ts';
import { entryOf, MODEL, type Started, start, TIMEOUT_MS, text, withFake } from '../../../test/engines/tgi/start.ts';
import { killSurvivors } from '../supervisor/survivors.ts';
import { tgiEngine } from './tgi.ts';

describe('the process', () => {
  test(
    'command line and environment',
    async () => {
      const folder = engineFolder();
      const fields = {
        max_model_len: 2048,
        max_concurrency: 7,
        gpu_memory_utilization: 0.5,
        dtype: 'bfloat16',
        quantization: 'awq',
        tensor_parallel_size: 2,
        extra_args: ['--max-batch-prefill-tokens', '1024'],
        env: { HF_TOKEN: 'hf_operator_token' },
      };
      const engine = await start(folder, {}, fields, [3, 1]);
      try {
        await engine.untilReady();
        const { argv, env } = engine.record();
        const value = (flag: string) => argv[argv.indexOf(flag) + 1];
        expect(argv.slice(0, 6)).toEqual([
          '--model-id',
          MODEL,
          '--hostname',
          '127.0.0.1',
          '--port',
          String(engine.port),
        ]);
        expect(argv.slice(-2)).toEqual(['--max-batch-prefill-tokens', '1024']);
        expect(
          Object.fromEntries(
            ['--num-shard', '--cuda-memory-fraction', '--max-total-tokens'].map((flag) => [flag, value(flag)]),
          ),
        ).toEqual({ '--num-shard': '2', '--cuda-memory-fraction': '0.5', '--max-total-tokens': '2048' });
        expect(
          Object.fromEntries(
            ['--dtype', '--quantize', '--max-concurrent-requests', '--usage-stats'].map((flag) => [flag, value(flag)]),
          ),
        ).toEqual({
          '--dtype': 'bfloat16',
          '--quantize': 'awq',
          '--max-concurrent-requests': '7',
          '--usage-stats': 'off',
        });
        expect(value('--shard-uds-path')).toMatch(new RegExp(`^${folder.directory}/`));
        expect(argv.join(' ')).not.toContain(env.API_KEY);
        expect(env.API_KEY).toMatch(/^[\w-]{32}$/);
        expect(env).toMatchObject({
          CUDA_VISIBLE_DEVICES: '3,1',
          CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
          HF_TOKEN: 'hf_operator_token',
          NO_COLOR: '1',
        });
        expect(engine.connection.launch?.secrets).toEqual([env.API_KEY, 'hf_operator_token']);
      } finally {
        await engine.close();
        folder.remove();
      }
    },
    TIMEOUT_MS,
  );

  test(
    'progress, readiness, identity and metrics',
    () =>
      withFake({}, async ({ progress, connection }) => {
        expect(progress.map(({ stage }) => stage).filter((stage, index, all) => stage !== all[index - 1])).toEqual([
          'checking weights',
          'downloading weights',
          'weights are here',
          'loading weights',
          'weights loaded',
          'starting the web server',
          'warming up',
          'capturing CUDA graphs',
          'warmed up',
        ]);
        expect(progress.flatMap(({ percent }) => percent ?? [])).toEqual([50, 100]);
        expect(await connection.probe(AbortSignal.timeout(TIMEOUT_MS))).toEqual({
          modelId: MODEL,
          contextTokens: 4096,
          running: 0,
          waiting: 0,
          step: 0,
          promptTokens: 0,
          generatedTokens: 0,
        });
      }),
    TIMEOUT_MS,
  );

  test(
    'another model is told as it is',
    () =>
      withFake({ wrongModel: 'other/model' }, async ({ connection }) => {
        expect(await connection.probe(AbortSignal.timeout(TIMEOUT_MS))).toMatchObject({ modelId: 'other/model' });
      }),
    TIMEOUT_MS,
  );

  test.each<[FailedStart, FailureCause | undefined]>([
    ['oom-weights', FailureCause.OUT_OF_MEMORY_WEIGHTS],
    ['oom-kv', FailureCause.OUT_OF_MEMORY_KV_CACHE],
    ['bad-flag', FailureCause.BAD_FLAG],
    ['unsupported-model', FailureCause.UNSUPPORTED_MODEL],
    ['nccl', FailureCause.NCCL],
    ['device-busy', FailureCause.DEVICE_BUSY],
  ])(
    'the texts of %s tell the cause',
    async (failStart, cause) => {
      const folder = engineFolder();
      const engine = await start(folder, { failStart, startLines: [] });
      expect((await engine.child.exited).code).toBe(1);
      await engine.child.outputEnded;
      expect(failureIn(engine.lines, engine.connection.launch?.failures ?? [])?.cause).toBe(cause);
      await engine.close();
      folder.remove();
    },
    TIMEOUT_MS,
  );

  test(
    'an unknown flag is refused in the words of the launcher',
    async () => {
      const folder = engineFolder();
      const engine = await start(folder, {}, { extra_args: ['--no-such-flag'] });
      expect((await engine.child.exited).code).toBe(2);
      await engine.child.outputEnded;
      expect(failureIn(engine.lines, engine.connection.launch?.failures ?? [])?.cause).toBe(FailureCause.BAD_FLAG);
      await engine.close();
      folder.remove();
    },
    TIMEOUT_MS,
  );
});

describe('two on one host', () => {
  /** Two fakes at once; with `flags` left out both take the defaults, here from the environment as the real one does. */
  async function two(leaveOut: readonly string[], body: (engines: Started[]) => Promise<void>): Promise<void> {
    const [prometheusPort, masterPort] = await freePorts(2);
    const folders = [engineFolder(), engineFolder()];
    const shared = engineFolder();
    const env = {
      PROMETHEUS_PORT: String(prometheusPort),
      MASTER_PORT: String(masterPort),
      SHARD_UDS_PATH: `${shared.directory}/shared`,
    };
    const engines: Started[] = [];
    try {
      for (const [index, folder] of folders.entries()) {
        const ports = await freePorts(3);
        const model = `acme/model-${index}`;
        const entry = entryOf({ model, env: scripted({}, folder.recordFile) });
        const adapter = tgiEngine(entry);
        const without = {
          ...adapter,
          connect: (...asked: Parameters<typeof adapter.connect>) => {
            const connection = adapter.connect(...asked);
            if (!connection.launch) return connection;
            const { args, environment } = connection.launch;
            const launch = { args: withoutFlags(args, leaveOut), environment: { ...environment, ...env } };
            return { ...connection, launch: { ...connection.launch, ...launch } };
          },
        };
        const started = startEngine(without, folder, { devices: [2 * index, 2 * index + 1], ports });
        engines.push({ ...started, port: ports[0] ?? 0 });
      }
      await body(engines);
    } finally {
      for (const engine of engines) await engine.close();
      for (const folder of [...folders, shared]) folder.remove();
    }
  }

  function withoutFlags(args: readonly string[], flags: readonly string[]): string[] {
    return args.filter((argument, index) => !flags.includes(argument) && !flags.includes(args[index - 1] ?? ''));
  }

  test(
    'do not collide',
    () =>
      two([], async (engines) => {
        await Promise.all(engines.map((engine) => engine.untilReady()));
        for (const engine of engines) {
          const sink = await engine.run({ prompt: text('a'), sampling: { maxTokens: 2 } });
          expect(sink.outcome).toBe('end');
        }
      }),
    TIMEOUT_MS,
  );

  test.each(['--prometheus-port', '--master-port'])(
    'collide without %s, and the lines tell that a port is taken',
    (flag) =>
      two([flag], async (engines) => {
        const ended = await Promise.race(engines.map((engine) => engine.child.exited.then(() => engine)));
        await ended.child.sweep();
        await until(() => ended.lines.some((line) => line.startsWith('Error: ')));
        expect(failureIn(ended.lines, ended.connection.launch?.failures ?? [])?.cause).toBe(FailureCause.ORPHAN_FOUND);
      }),
    TIMEOUT_MS,
  );

  test(
    'collide without --shard-uds-path: one has lost its shard to the other',
    () =>
      two(['--shard-uds-path'], async (engines) => {
        await Promise.all(engines.map((engine) => engine.untilReady()));
        const sinks = await Promise.all(engines.map((engine) => engine.run({ prompt: text('a') })));
        expect(sinks.filter((sink) => sink.outcome !== 'end')).toHaveLength(1);
      }),
    TIMEOUT_MS,
  );
});

test(
  'its shards and its web server are in groups of their own and yet do not survive',
  async () => {
    const folder = engineFolder();
    const engine = await start(folder);
    await engine.untilReady();
    engine.child.signal('SIGKILL');
    await engine.child.exited;
    expect((await fakeState(engine.port)).running).toBe(0);
    await engine.child.sweep();
    await killSurvivors(engine.child.mark, TIMEOUT_MS);
    await expect(fakeState(engine.port)).rejects.toThrow();
    await engine.close();
    folder.remove();
  },
  TIMEOUT_MS,
);
