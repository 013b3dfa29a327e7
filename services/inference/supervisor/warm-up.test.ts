import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { EngineCapabilitiesSchema, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { fakeAdapter } from '../../../test/engines/fake-adapter.ts';
import { startFakeEngine } from '../../../test/engines/fake-engine.ts';
import type { FakeScript } from '../../../test/engines/fake-openai.ts';
import { supervise } from '../../../test/engines/supervise.ts';
import { startEmbeddedEngine } from '../../../test/fixtures/embedded-engine.ts';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import type { EngineConnection } from '../engines/engine.ts';
import { OpenAiConnection } from '../engines/openai-connection.ts';
import { warmUp } from './warm-up.ts';

/** Generous: the machine may do other work. */
const TIMEOUT_MS = 120_000;
const PATIENCE = { timeout: 60_000 };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const forever = new AbortController().signal;

const ONE_TOKEN = create(GenerationEventSchema, { event: { case: 'delta', value: { text: 'a' } } });

/** An engine that takes prompts of some kinds, and what it was asked. */
function engine(takes: readonly string[], embeds = false): { connection: EngineConnection; asked: string[] } {
  const asked: string[] = [];
  const connection: EngineConnection = {
    generate(request, call, sink) {
      const kind = request.prompt?.input.case ?? 'none';
      asked.push(`${kind} ${request.sampling?.maxTokens}`);
      if (takes.includes('never')) {
        call.signal.addEventListener('abort', () => sink.fail(new MeshError('CLIENT_GONE', 'gone')));
      } else if (takes.includes(kind)) {
        sink.event(ONE_TOKEN);
        sink.end();
      } else sink.fail(invalidField('prompt', `is no prompt for this engine (${kind})`));
    },
    tokenize: () => Promise.resolve([]),
    probe: () => Promise.resolve({}),
    close: () => Promise.resolve(),
    ...(embeds && {
      embed(inputs) {
        asked.push(`embed ${inputs.length}`);
        return Promise.resolve({ vectors: [[1]], promptTokens: 1 });
      },
    }),
  };
  return { connection, asked };
}

test('asks for one token', async () => {
  const { connection, asked } = engine(['text', 'chat'], true);
  await warmUp(connection, 'e', forever);
  expect(asked).toEqual(['text 1']);
});

test('in a chat where plain text is not taken', async () => {
  const { connection, asked } = engine(['chat']);
  await warmUp(connection, 'e', forever);
  expect(asked).toEqual(['text 1', 'chat 1']);
});

test('for a vector where nothing is generated', async () => {
  const { connection, asked } = engine([], true);
  await warmUp(connection, 'e', forever);
  expect(asked.at(-1)).toBe('embed 1');
});

test('tells the first reason when nothing works', async () => {
  await expect(warmUp(engine([]).connection, 'e', forever)).rejects.toThrow('(text)');
});

test('ends with its signal, and tries no other way then', async () => {
  const { connection, asked } = engine(['never'], true);
  await expect(warmUp(connection, 'e', AbortSignal.timeout(30))).rejects.toThrow();
  expect(asked).toEqual(['text 1']);
});

test('tells an answer without a token before other reasons', async () => {
  const { connection } = engine([]);
  const generate: EngineConnection['generate'] = (request, call, sink) =>
    request.prompt?.input.case === 'chat' ? sink.end() : connection.generate(request, call, sink);
  await expect(warmUp({ ...connection, generate }, 'e', forever)).rejects.toThrow('end before their first token');
});

test('an embedding without numbers is none', async () => {
  const { connection } = engine([], true);
  const embed = () => Promise.resolve({ vectors: [[]], promptTokens: 1 });
  await expect(warmUp({ ...connection, embed }, 'e', forever)).rejects.toThrow('end before their first token');
});

/** A real server that answers as its script says, and the way to it. */
async function server(script: FakeScript): Promise<EngineConnection> {
  const fake = await startFakeEngine({ warmUpToo: true, ...script });
  closers.push(() => fake.stop());
  return over({ baseUrl: new URL(fake.baseUrl) });
}

function over(
  endpoint: ConstructorParameters<typeof OpenAiConnection>[0],
  asked: Partial<GenerateRequest['sampling']> = {},
): EngineConnection {
  const capabilities = create(EngineCapabilitiesSchema, { chat: true, logitBias: true });
  const connection = new OpenAiConnection(endpoint, { engine: 'e', capabilities, continuousUsage: false });
  closers.push(() => connection.close());
  return {
    generate(request, call, sink) {
      const sampling = request.sampling && { ...request.sampling, ...asked };
      connection.generate({ ...request, sampling }, 'm', call, sink);
    },
    tokenize: () => Promise.resolve([]),
    probe: () => Promise.resolve({}),
    close: () => connection.close(),
  };
}

const bill = (completion_tokens: number) => ({
  prompt_tokens: 5,
  completion_tokens,
  total_tokens: 5 + completion_tokens,
});

test.each<[string, FakeScript]>([
  ['a token', { tokens: 1 }],
  ['no text and a bill of one token: it ended its turn, or made half a character', { tokens: 0, usage: bill(1) }],
  ['a token and no bill', { tokens: 1, omitUsage: true }],
])(
  'is content with %s',
  async (_name, script) => {
    await warmUp(await server(script), 'e', forever);
  },
  TIMEOUT_MS,
);

test.each<[string, FakeScript]>([
  ['an end', { tokens: 0, usage: bill(0) }],
  ['an end without a bill', { tokens: 0, omitUsage: true }],
  ['an end that says "length"', { tokens: 0, finishReason: 'length', omitUsage: true }],
])(
  'is not content with nothing but %s',
  async (_name, script) => {
    await expect(warmUp(await server(script), 'e', forever)).rejects.toThrow('end before their first token');
  },
  TIMEOUT_MS,
);

test(
  'an engine that ends its turn at once and does not count that is asked to go on',
  async () => {
    const embedded = await startEmbeddedEngine(['--context', '512']);
    closers.push(() => embedded.stop());
    const chat = { messages: [{ role: 'user', content: '' }] };
    const { tokens } = JSON.parse((await embedded.post('/tokenize', chat)).text) as { tokens: number[] };
    const endToken = tokens['<user\n'.length] ?? -1;
    const endpoint = { baseUrl: new URL('http://localhost/v1'), socketPath: embedded.socketPath };
    const connection = over(endpoint, { logitBias: { [endToken]: 100 } });
    let asked = 0;
    const generate: EngineConnection['generate'] = (request, call, sink) => {
      asked++;
      connection.generate(request, call, sink);
    };
    await warmUp({ ...connection, generate }, 'e', forever);
    expect(asked).toBe(3);
  },
  TIMEOUT_MS,
);

test(
  'an engine whose answers are empty is never ready, and says why',
  async () => {
    const supervised = supervise(fakeAdapter({ warmUpToo: true, tokens: 0 }));
    closers.push(() => supervised.close());
    supervised.engine.start();
    const failure = () => supervised.changes.find((change) => change.failure)?.failure;
    await expect.poll(failure, PATIENCE).toMatchObject({
      cause: FailureCause.UNSUPPORTED_MODEL,
      hint: expect.stringContaining('Its answers end before their first token.'),
    });
    expect(supervised.states).not.toContain('READY');
  },
  TIMEOUT_MS,
);
