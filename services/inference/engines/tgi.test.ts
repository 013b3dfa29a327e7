import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema, ToolMode } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type FailedStart, type FaultScript, scripted } from '../../../test/engines/kit/fault-script.ts';
import {
  type EngineFolder,
  engineFolder,
  failureIn,
  fakeState,
  freePorts,
  type StartedEngine,
  startEngine,
  until,
} from '../../../test/engines/launched-engine.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { modelEntrySchema, type TgiEntry } from './model-entry.ts';
import { tgiEngine } from './tgi.ts';

const TIMEOUT_MS = 120_000;

const MODEL = 'acme/model';

function entryOf(fields: Partial<Record<keyof TgiEntry, unknown>> = {}): TgiEntry {
  return modelEntrySchema.parse({ name: 'chat', engine: 'tgi', model: MODEL, ...fields }) as TgiEntry;
}

const text = (value: string) => ({ input: { case: 'text' as const, value } });

const chat = (value: string) => ({
  input: {
    case: 'chat' as const,
    value: { messages: [{ role: Role.USER, parts: [{ part: { case: 'text' as const, value } }] }] },
  },
});

interface Started extends StartedEngine {
  readonly port: number;
}

/** Starts a fake with a script; `folder` is the caller's to remove. */
async function start(
  folder: EngineFolder,
  script: FaultScript = {},
  fields: Partial<Record<keyof TgiEntry, unknown>> = {},
  devices: readonly number[] = [0],
): Promise<Started> {
  const env = { ...scripted(script, folder.recordFile), ...((fields.env as object) ?? {}) };
  const ports = await freePorts(3);
  const engine = startEngine(tgiEngine(entryOf({ ...fields, env })), folder, { devices, ports });
  return { ...engine, port: ports[0] ?? 0 };
}

/** Runs `body` on a fake of its own. */
async function withFake(script: FaultScript, body: (engine: Started) => Promise<void>): Promise<void> {
  const folder = engineFolder();
  const engine = await start(folder, script);
  try {
    await engine.untilReady();
    await body(engine);
  } finally {
    await engine.close();
    folder.remove();
  }
}

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
        const entry = entryOf({ model, env: { ...scripted({}, folder.recordFile), ...env } });
        const adapter = tgiEngine(entry);
        const without = {
          ...adapter,
          connect: (...args: Parameters<typeof adapter.connect>) => {
            const connection = adapter.connect(...args);
            if (connection.launch) {
              const launch = { ...connection.launch, args: withoutFlags(connection.launch.args, leaveOut) };
              return { ...connection, launch };
            }
            return connection;
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

describe('generations', () => {
  const folder = engineFolder();
  let engine: Started;

  beforeAll(async () => {
    engine = await start(folder, {}, { max_concurrency: 2 });
    await engine.untilReady();
  }, TIMEOUT_MS);

  afterAll(async () => {
    await engine.close();
    folder.remove();
  });

  const lastBody = async () => (await fakeState(engine.port)).last;

  test('text: native route, token ids, log-probabilities, usage', async () => {
    const sink = await engine.run({
      model: 'm',
      prompt: text('Once'),
      sampling: {
        maxTokens: 3,
        temperature: 0.5,
        topP: 0.9,
        topK: 40,
        repetitionPenalty: 1.1,
        frequencyPenalty: 0.2,
        seed: 7n,
        logprobs: true,
        topLogprobs: 2,
        returnTokenIds: true,
      },
    });
    expect(sink.outcome).toBe('end');
    expect(sink.text()).toBe(' t0 t1 t2');
    expect(sink.kinds.at(0)).toBe('started');
    expect(sink.deltas.flatMap(({ tokenIds }) => tokenIds)).toEqual([1000, 1001, 1002]);
    const [logprob] = sink.deltas.flatMap(({ logprobs }) => logprobs);
    expect(logprob).toMatchObject({ token: ' t0', logprob: -0.5, tokenId: 1000 });
    expect(logprob?.top.map(({ token }) => token)).toEqual(['alt0', 'alt1']);
    expect(sink.finished).toMatchObject([{ reason: FinishReason.LENGTH }]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 3 });
    expect(await lastBody()).toMatchObject({
      path: '/generate_stream',
      body: {
        inputs: 'Once',
        parameters: {
          details: true,
          do_sample: true,
          temperature: 0.5,
          max_new_tokens: 3,
          top_p: 0.9,
          top_k: 40,
          repetition_penalty: 1.1,
          frequency_penalty: 0.2,
          seed: 7,
          top_n_tokens: 2,
        },
      },
    });
  });

  test('temperature 0 is greedy; values that mean nothing are left out, as TGI refuses them', async () => {
    const sampling = { maxTokens: 1, temperature: 0, topP: 1, topK: 0, presencePenalty: 0, minP: 0 };
    for (const prompt of [text('a'), chat('a')]) {
      expect((await engine.run({ prompt, sampling })).outcome).toBe('end');
    }
    expect((await engine.run({ prompt: text('a'), sampling })).outcome).toBe('end');
    const parameters = (await lastBody())?.body.parameters as object;
    expect(Object.keys(parameters).sort()).toEqual(['details', 'do_sample', 'max_new_tokens']);
  });

  test('chat: template route, log-probabilities, usage', async () => {
    const sink = await engine.run({
      prompt: chat('Hi'),
      sampling: { maxTokens: 2, logprobs: true, topLogprobs: 1 },
    });
    expect(sink.text()).toBe(' t0 t1');
    expect(sink.deltas.flatMap(({ logprobs }) => logprobs)).toMatchObject([
      { token: ' t0', logprob: -0.5, top: [{ token: 'alt0' }] },
      { token: ' t1' },
    ]);
    expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 2 });
    expect(await lastBody()).toMatchObject({
      path: '/v1/chat/completions',
      body: { model: 'tgi', messages: [{ role: 'user', content: 'Hi' }], stream_options: { include_usage: true } },
    });
  });

  test('a JSON Schema in the words of its grammars, on both routes', async () => {
    const schema = { type: 'object', properties: { a: { type: 'string' } } };
    const responseFormat = { format: { case: 'jsonSchema' as const, value: { name: 'n', schema } } };
    const sampling = { maxTokens: 1 };
    expect((await engine.run({ prompt: text('a'), responseFormat, sampling })).outcome).toBe('end');
    expect((await lastBody())?.body.parameters).toMatchObject({ grammar: { type: 'json', value: schema } });
    expect((await engine.run({ prompt: chat('a'), responseFormat, sampling })).outcome).toBe('end');
    expect((await lastBody())?.body.response_format).toEqual({ type: 'json', value: schema });
  });

  test('tools: one name, one id, and the reason says that tools are called', async () => {
    const sink = await engine.run({
      prompt: chat('Hi'),
      tools: [{ name: 'weather' }],
      toolChoice: { choice: { case: 'mode', value: ToolMode.REQUIRED } },
      sampling: { maxTokens: 20 },
    });
    const calls = sink.deltas.flatMap(({ toolCalls }) => toolCalls);
    expect(calls.flatMap(({ id }) => id ?? [])).toEqual(['0']);
    expect(calls.flatMap(({ name }) => name ?? [])).toEqual(['weather']);
    expect(calls.map((call) => call.arguments).join('')).toContain(' t0 t1 t2');
    const { tools } = ((await lastBody())?.body ?? {}) as { tools?: { function: object }[] };
    expect(tools?.[0]?.function).toEqual({ name: 'weather', parameters: { type: 'object', properties: {} } });
  });

  test.each([text('a'), chat('a')])('a stop text is not returned, wherever it ends (%#)', async (prompt) => {
    const atEnd = await engine.run({ prompt, sampling: { maxTokens: 6, stop: ['t2'] } });
    expect(atEnd.text()).toBe(' t0 t1 ');
    expect(atEnd.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: 't2' }]);
    expect(atEnd.usage).toMatchObject({ promptTokens: 5, completionTokens: 3 });
  });

  test(
    'a stop text within a token ends the answer here and at the engine; the prompt is counted afterwards',
    () =>
      withFake({ texts: ['a', 'b.c', 'd'], everyMs: 20 }, async (slow) => {
        const sink = await slow.run({
          prompt: text('four words of prompt'),
          sampling: { maxTokens: 500, stop: ['.'] },
        });
        expect(sink.text()).toBe('ab');
        expect(sink.finished).toMatchObject([{ reason: FinishReason.STOP, matchedStop: '.' }]);
        expect(sink.usage).toMatchObject({ promptTokens: 4 });
        await until(async () => (await fakeState(slow.port)).aborted === 1);
      }),
    TIMEOUT_MS,
  );

  test.each([
    ['prompt', { prompt: { input: { case: 'tokenIds' as const, value: { ids: [1, 2] } } } }],
    ['n', { prompt: text('a'), sampling: { choices: 2 } }],
    ['logit_bias', { prompt: text('a'), sampling: { logitBias: { 5: 1 } } }],
    ['min_p', { prompt: text('a'), sampling: { minP: 0.1 } }],
    ['presence_penalty', { prompt: chat('a'), sampling: { presencePenalty: 0.5 } }],
    ['top_k', { prompt: chat('a'), sampling: { topK: 5 } }],
    ['return_token_ids', { prompt: chat('a'), sampling: { returnTokenIds: true } }],
    ['min_tokens', { prompt: text('a'), sampling: { minTokens: 5 } }],
    ['ignore_eos', { prompt: text('a'), sampling: { ignoreEndOfTurn: true } }],
    ['echo', { prompt: text('a'), echoPrompt: true }],
    ['reasoning_effort', { prompt: chat('a'), sampling: { reasoningEffort: 'low' } }],
    ['guided_regex', { prompt: text('a'), engineOptions: { guided_regex: 'a+' } }],
  ])('%s is refused by name before anything starts', async (field, request) => {
    const before = await fakeState(engine.port);
    const { outcome } = await engine.run(request);
    expect(outcome).toMatchObject({ reason: 'UNSUPPORTED_FIELD', metadata: { field, engine: 'chat' } });
    const after = await fakeState(engine.port);
    expect(after.served + after.aborted).toBe(before.served + before.aborted);
  });

  test.each([text('a'), chat('a')])('too long: the numbers reach the caller (%#)', async (prompt) => {
    const { outcome } = await engine.run({ prompt, sampling: { maxTokens: 5000 } });
    expect(outcome).toMatchObject({
      reason: 'CONTEXT_LENGTH_EXCEEDED',
      metadata: { prompt_tokens: '5', context_tokens: '4096' },
    });
  });

  test('what it refuses is told under our name of the field', async () => {
    const { outcome } = await engine.run({ prompt: text('a'), sampling: { topP: 0 } });
    expect(outcome).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'top_p' } });
    expect((outcome as MeshError).message).not.toContain('`');
  });

  test('a negative seed is refused: TGI cannot read it', async () => {
    const { outcome } = await engine.run({ prompt: text('a'), sampling: { seed: -1n } });
    expect(outcome).toMatchObject({ reason: 'INVALID_FIELD', metadata: { field: 'seed' } });
  });

  test('tokenize: text and conversation; token ids are refused', async () => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const { prompt } = create(GenerateRequestSchema, { prompt: text('one two three') });
    expect(await engine.connection.tokenize(prompt as never, signal)).toEqual([100, 101, 102]);
    const talk = create(GenerateRequestSchema, { prompt: chat('one two') });
    expect(await engine.connection.tokenize(talk.prompt as never, signal)).toEqual([100, 101]);
    const ids = create(GenerateRequestSchema, { prompt: { input: { case: 'tokenIds', value: { ids: [1] } } } });
    await expect(engine.connection.tokenize(ids.prompt as never, signal)).rejects.toMatchObject({
      reason: 'UNSUPPORTED_FIELD',
    });
  });

  test('it has no embeddings', () => {
    expect(engine.connection.embed).toBeUndefined();
  });
});

describe('trouble', () => {
  test(
    'an abort reaches the engine',
    () =>
      withFake({ everyMs: 20 }, async ({ connection, port }) => {
        const sink = new RecordingSink();
        const call = recordingCall();
        sink.onEvent = ({ event }) => {
          if (event.case === 'delta') call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        };
        const request = create(GenerateRequestSchema, { prompt: text('a'), sampling: { maxTokens: 4000 } });
        connection.generate(request, call, sink);
        expect(await sink.over).toMatchObject({ reason: 'CLIENT_GONE' });
        await until(async () => {
          const { running, aborted } = await fakeState(port);
          return running === 0 && aborted === 1;
        });
        expect(await connection.probe(AbortSignal.timeout(TIMEOUT_MS))).toMatchObject({ running: 0 });
      }),
    TIMEOUT_MS,
  );

  test(
    'overloaded is ENGINE_BUSY, although it comes under status 200',
    () =>
      withFake({ everyMs: 50 }, async ({ run, port, connection }) => {
        void connection;
        const long = Array.from({ length: 128 }, () => {
          const call = recordingCall();
          const sink = new RecordingSink();
          const request = create(GenerateRequestSchema, { prompt: text('a'), sampling: { maxTokens: 4000 } });
          connection.generate(request, call, sink);
          return { call, sink };
        });
        await until(async () => (await fakeState(port)).running === 128);
        for (const prompt of [text('a'), chat('a')]) {
          const { outcome } = await run({ prompt });
          expect(outcome).toMatchObject({ reason: 'ENGINE_BUSY' });
        }
        for (const { call } of long) call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        await Promise.all(long.map(({ sink }) => sink.over));
      }),
    TIMEOUT_MS,
  );

  test.each<[string, FaultScript, string]>([
    ['an error in mid-stream', { errorAtToken: 2 }, 'ENGINE_FAILED'],
    ['a cut', { cutAtToken: 2 }, 'ENGINE_LOST'],
    ['a cut within an event', { halfChunkAtToken: 2 }, 'ENGINE_LOST'],
    ['the end of the process', { exitAtToken: { token: 2, code: 0 } }, 'ENGINE_LOST'],
  ])(
    '%s, on both routes',
    async (_, script, reason) => {
      for (const prompt of [text('a'), chat('a')]) {
        await withFake(script, async ({ run }) => {
          const sink = await run({ prompt, sampling: { maxTokens: 5 } });
          expect(sink.outcome).toMatchObject({ reason });
          expect(sink.text()).toBe(' t0 t1');
        });
      }
    },
    TIMEOUT_MS,
  );

  test(
    'a character over two tokens and many packets stays whole; bytes that are none are replaced',
    async () => {
      await withFake({ splitUtf8: true }, async ({ run }) => {
        for (const prompt of [text('a'), chat('a')]) {
          const sink = await run({ prompt, sampling: { maxTokens: 6 } });
          expect(sink.text()).toBe('🙂🙂🙂');
          expect(sink.usage?.completionTokens).toBe(6);
        }
      });
      await withFake({ invalidUtf8: true }, async ({ run }) => {
        const sink = await run({ prompt: text('a'), sampling: { maxTokens: 2 } });
        expect(sink.text()).toBe('\ufffd after t1');
      });
    },
    TIMEOUT_MS,
  );

  test(
    'a hung engine: its health is fine, its step stands still',
    () =>
      withFake({ hangAtToken: 2 }, async ({ connection, port }) => {
        const call = recordingCall();
        const sink = new RecordingSink();
        connection.generate(create(GenerateRequestSchema, { prompt: text('a') }), call, sink);
        await until(async () => (await fakeState(port)).hung);
        const first = await connection.probe(AbortSignal.timeout(TIMEOUT_MS));
        const second = await connection.probe(AbortSignal.timeout(TIMEOUT_MS));
        expect(first).toMatchObject({ running: 1, step: 2 });
        expect(second.step).toBe(first.step);
        call.abort.abort(new MeshError('CLIENT_GONE', 'gone'));
        await sink.over;
      }),
    TIMEOUT_MS,
  );
});
