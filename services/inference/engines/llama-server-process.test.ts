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
import { LLAMA_SERVER_FAILURES } from './llama-server-failures.ts';
import { readLlamaServerProgress } from './llama-server-launch.ts';

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
          LLAMA_ARG_LOG_VERBOSITY: '4',
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
          capabilities: expect.objectContaining({ chat: true, tools: true }),
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

  test(
    'a log that says less, as the operator wants it, still tells the device, the slots and their context',
    async () => {
      const folder = engineFolder();
      const engine = start(folder, {}, { env: { LLAMA_ARG_LOG_VERBOSITY: '3' } }, [0]);
      try {
        await engine.untilReady();
        expect(engine.lines.join('\n')).not.toContain('using device');
        const learned = Object.assign({}, ...engine.progress);
        expect(learned).toMatchObject({ deviceKind: 'cuda', maxConcurrency: 4, contextTokens: 8192 });
      } finally {
        await engine.close();
        folder.remove();
      }
    },
    TIMEOUT_MS,
  );

  test.each([
    ['srv    load_model: initializing slots, n_slots = 2', { stage: 'making slots', maxConcurrency: 2 }],
    ['slot   load_model: id  0 | task -1 | new slot n_ctx_slot = 512', { stage: 'making slots', contextTokens: 512 }],
    ['main: server is listening on http://127.0.0.1:8080 - starting the main loop', { stage: 'loaded' }],
  ])('words of other versions: %s', (line, progress) => {
    expect(readLlamaServerProgress(line)).toEqual(progress);
  });

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

  test.each([
    [['--no-such-flag'], 'does not know an argument'],
    [['--flash-attn', 'maybe'], 'does not know an argument'],
    [['--chat-template', '{% if'], 'chat template cannot be read'],
    [['--lora', '/no/such/adapter.gguf'], 'adapter or projector'],
  ])(
    '%j is refused in its words',
    async (extra_args, hint) => {
      const folder = engineFolder();
      const engine = start(folder, {}, { extra_args });
      expect((await engine.child.exited).code).toBe(1);
      await engine.child.outputEnded;
      const failure = failureIn(engine.lines, LLAMA_SERVER_FAILURES);
      expect(failure?.cause).toBe(FailureCause.BAD_FLAG);
      expect(failure?.hint).toContain(hint);
      await engine.close();
      folder.remove();
    },
    TIMEOUT_MS,
  );

  test.each<[string, FailureCause, string[]]>([
    [
      'a device that is not there',
      FailureCause.BAD_FLAG,
      ['error while handling argument "--device": invalid device: CUDA0', 'usage:'],
    ],
    [
      'no GGUF',
      FailureCause.UNSUPPORTED_MODEL,
      [
        "0.00.006.681 E gguf_init_from_reader: invalid magic characters: 'not ', expected 'GGUF'",
        '0.00.006.868 E llama_model_load: error loading model: llama_model_loader: failed to load model from /m.gguf',
      ],
    ],
    [
      'more sequences than it takes',
      FailureCause.BAD_FLAG,
      [
        '0.00.423.291 E llama_init_from_model: failed to initialize the context: n_seq_max must be <= 256',
        "0.00.423.323 E cmn  common_init_: failed to create context with model '/m.gguf'",
      ],
    ],
    [
      'a cache that does not fit',
      FailureCause.OUT_OF_MEMORY_KV_CACHE,
      [
        '0.00.074.722 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache',
        "0.00.074.776 E cmn  common_init_: failed to create context with model '/m.gguf'",
      ],
    ],
    [
      'a check of its own',
      FailureCause.EXITED_UNASKED,
      ['ggml/src/ggml.c:3354: GGML_ASSERT(ggml_can_mul_mat(a, b)) failed', '#2  0x000055dfa99893c8 in ggml_abort ()'],
    ],
    [
      'a projector that is not there',
      FailureCause.BAD_FLAG,
      [
        "0.00.922.810 E gguf_init_from_file: failed to open GGUF file '/p.gguf' (No such file or directory)",
        "0.00.927.483 E clip_init: failed to load model '/p.gguf': clip_model_loader: failed to load CLIP model from /p.gguf. Does this file exist?",
      ],
    ],
    [
      'too many threads',
      FailureCause.EXITED_UNASKED,
      [
        "terminate called after throwing an instance of 'std::system_error'",
        '  what():  Resource temporarily unavailable',
      ],
    ],
  ])('%s is known by its lines', (_, cause, lines) => {
    expect(failureIn(lines, LLAMA_SERVER_FAILURES)?.cause).toBe(cause);
  });

  test('what a device and a limit of threads mean is said', () => {
    const hintOf = (line: string) => failureIn([line], LLAMA_SERVER_FAILURES)?.hint;
    expect(hintOf('error while handling argument "--device": invalid device: CUDA0')).toContain('see the device');
    expect(hintOf('  what():  Resource temporarily unavailable')).toContain('threads');
    expect(hintOf('ggml.c:3354: GGML_ASSERT(ggml_can_mul_mat(a, b)) failed')).toContain('max_concurrency');
    expect(hintOf("terminate called after throwing an instance of 'std::bad_optional'")).toContain('line behind');
  });

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
