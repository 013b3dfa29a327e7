import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { inspect } from 'node:util';
import { create, toBinary, toJson } from '@bufbuild/protobuf';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import {
  DeltaSchema,
  FinishReason,
  GenerationEventSchema,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { Role } from '../../../gen/mesh/generation/v1/prompt_pb.ts';
import { type FakeEngine, startFakeEngine } from '../../../test/engines/fake-engine.ts';
import type { FakeScript } from '../../../test/engines/fake-openai.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { EngineConnection } from './engine.ts';
import { modelEntrySchema } from './model-entry.ts';
import { openAiEngine } from './openai.ts';
import type { OpenAiEntry } from './openai-entry.ts';

const setting = { runDirectory: '/nowhere', nodePath: process.execPath, gpu: 'none' as const };
let fake: FakeEngine;
let connection: EngineConnection;

beforeAll(async () => {
  fake = await startFakeEngine();
  connection = connectTo(fake.baseUrl);
});
afterAll(async () => {
  await connection.close();
  await fake.stop();
});
beforeEach(() => fake.script({}));

function connectTo(baseUrl: string, extra: object = {}): EngineConnection {
  const entry = modelEntrySchema.parse({ name: 'chat', engine: 'openai', model: 'm', base_url: baseUrl, ...extra });
  return openAiEngine(entry as OpenAiEntry).connect(
    { ...setting, environmentVariable: () => 'key-of-upstream' },
    { devices: [], ports: [] },
  );
}

function chat(sampling: object = {}, rest: object = {}): GenerateRequest {
  return create(GenerateRequestSchema, {
    model: 'alias',
    prompt: { input: { case: 'chat', value: { messages: [{ role: Role.USER, parts: [text('hi')] }] } } },
    sampling,
    ...rest,
  });
}

function text(value: string) {
  return { part: { case: 'text' as const, value } };
}

async function run(script: FakeScript, request = chat()): Promise<RecordingSink> {
  await fake.script(script);
  const sink = new RecordingSink();
  connection.generate(request, recordingCall(), sink);
  await sink.over;
  return sink;
}

async function failure(script: FakeScript, request = chat()): Promise<MeshError> {
  const sink = await run(script, request);
  if (!(sink.outcome instanceof MeshError)) throw new Error('it did not fail');
  return sink.outcome;
}

test('events come in order, tokens are counted, the bill is the last', async () => {
  const sink = await run({ tokens: 3, everyMs: 20 });
  expect(sink.outcome).toBe('end');
  expect(sink.kinds).toEqual(['started', 'delta', 'delta', 'delta', 'finished', 'usage']);
  expect(sink.events[0]?.event.value).toMatchObject({
    requestId: 'req_test',
    engine: 'chat',
    modelId: 'm',
    model: 'alias',
  });
  expect(sink.deltas.map((delta) => delta.completionTokens)).toEqual([1, 2, 3]);
  expect(sink.text()).toBe(' t0 t1 t2');
  expect(sink.finished[0]).toMatchObject({ choice: 0, reason: FinishReason.STOP });
  expect(sink.usage).toMatchObject({ promptTokens: 5, completionTokens: 3, cachedTokens: 2 });
});

test('tokens that came in one read leave in one delta', async () => {
  const sink = await run({ tokens: 50, perWrite: 50, tokenIds: true, pieceBytes: 64, corked: true });
  // The role chunk is a write of its own and has no text, so there is exactly one delta.
  expect(sink.deltas).toHaveLength(1);
  expect(sink.deltas[0]?.tokenIds).toHaveLength(50);
  expect(sink.deltas[0]?.completionTokens).toBe(50);
});

test('deltas are messages that encode like created ones', async () => {
  const sink = await run({ tokens: 2, tokenIds: true, perWrite: 2 }, chat({ logprobs: true }));
  const [event] = sink.events.filter((candidate) => candidate.event.case === 'delta');
  if (event?.event.case !== 'delta') throw new Error('no delta');
  const created = create(GenerationEventSchema, {
    event: { case: 'delta', value: create(DeltaSchema, event.event.value) },
  });
  expect(toBinary(GenerationEventSchema, event)).toEqual(toBinary(GenerationEventSchema, created));
  expect(toJson(GenerationEventSchema, event)).toEqual(toJson(GenerationEventSchema, created));
  expect(event.event.value.logprobs[0]).toMatchObject({ token: ' t0', logprob: -0.5, top: [{ token: 'z' }] });
});

test('several tokens in a chunk are counted by their ids, else by the running bill, else as one', async () => {
  const script = { tokens: 6, perChunk: 3, everyMs: 20 };
  const counts = async (extra: FakeScript) =>
    (await run({ ...script, ...extra })).deltas.map((d) => d.completionTokens);
  expect(await counts({ tokenIds: true })).toEqual([3, 6]);
  expect(await counts({ continuousUsage: true })).toEqual([3, 6]);
  expect(await counts({})).toEqual([1, 2]);
  expect((await run({ ...script, continuousUsage: true })).deltas[0]?.promptTokens).toBe(5);
});

test('a server that sends no bill gets ours', async () => {
  const sink = await run({ tokens: 4, omitUsage: true });
  expect(sink.outcome).toBe('end');
  expect(sink.usage).toMatchObject({ completionTokens: 4 });
});

test('a complete answer without [DONE] is complete', async () => {
  expect((await run({ omitDone: true })).outcome).toBe('end');
});

test('several choices each have their text and their end', async () => {
  const sink = await run({ tokens: 3 }, chat({ choices: 2 }));
  expect(sink.text(0)).toBe(' t0 t1 t2');
  expect(sink.text(1)).toBe(' t0 t1 t2');
  expect(sink.finished.map((finished) => finished.choice)).toEqual([0, 1]);
  expect(sink.usage?.completionTokens).toBe(6);
});

test('reasoning, tool calls and the matched stop arrive typed', async () => {
  const reasoning = await run({ tokens: 2, reasoning: true, stopReason: 'END', finishReason: 'stop' });
  expect(reasoning.deltas.map((delta) => delta.reasoning).join('')).toBe(' t0 t1');
  expect(reasoning.finished[0]?.matchedStop).toBe('END');
  const tools = await run({ tokens: 2, toolCalls: true, finishReason: 'tool_calls', perWrite: 2 });
  expect(tools.deltas[0]?.toolCalls).toMatchObject([
    { id: 'call_1', name: 'f', arguments: ' t0' },
    { arguments: ' t1' },
  ]);
  expect(tools.finished[0]?.reason).toBe(FinishReason.TOOL_CALLS);
});

test('text survives every way of cutting the bytes', async () => {
  for (const pieceBytes of [1, 3, 7]) {
    const sink = await run({ tokens: 2, texts: ['grüße 🦊', '日本'], pieceBytes, lineEnd: '\r\n', comments: true });
    expect(sink.outcome).toBe('end');
    expect(sink.text()).toBe('grüße 🦊日本');
  }
});

test('invalid UTF-8 is replaced, not fatal', async () => {
  const sink = await run({ tokens: 2, rawHex: 'ff41', pieceBytes: 1 });
  expect(sink.outcome).toBe('end');
  expect(sink.text()).toBe('\ufffdA t1');
});

test.each(['reset', 'half', 'end', 'abort'] as const)('a stream that breaks off (%s) is ENGINE_LOST', async (fault) => {
  const sink = await run({ tokens: 9, atToken: 4, fault });
  expect(sink.outcome).toMatchObject({ reason: 'ENGINE_LOST', metadata: { engine: 'chat', tokens_delivered: '4' } });
  expect(sink.text()).toBe(' t0 t1 t2 t3');
});

test.each(['error', 'garbage', 'huge'] as const)('nonsense in a stream (%s) is ENGINE_FAILED', async (fault) => {
  const error = await failure({ tokens: 9, atToken: 2, fault });
  expect(error.reason).toBe('ENGINE_FAILED');
  expect(error.message).not.toContain('secret');
});

test('a server that cannot stream has failed', async () => {
  expect((await failure({ nonStream: true })).reason).toBe('ENGINE_FAILED');
});

test('statuses become reasons', async () => {
  const told = { error: { message: 'temperature must be positive', param: 'temperature' } };
  const invalid = await failure({ status: 400, body: told });
  expect(invalid).toMatchObject({ reason: 'INVALID_FIELD', message: 'temperature must be positive' });
  expect(invalid.metadata.field).toBe('temperature');
  const long = "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 tokens.";
  const context = await failure({ status: 400, body: { error: { message: long } } });
  expect(context.reason).toBe('CONTEXT_LENGTH_EXCEEDED');
  expect(context.metadata).toEqual({ context_tokens: '4096', prompt_tokens: '5000' });
  const busy = await failure({ status: 503, headers: { 'retry-after': '7' }, body: { error: { message: 'secret' } } });
  expect(busy).toMatchObject({ reason: 'ENGINE_BUSY', retryAfterMs: 7_000 });
  expect(busy.message).not.toContain('secret');
  expect((await failure({ status: 429 })).reason).toBe('ENGINE_BUSY');
  const crashed = await failure({ status: 500, body: { error: { message: 'secret' } } });
  expect(crashed.reason).toBe('ENGINE_FAILED');
  expect(crashed.message).not.toContain('secret');
  expect((await failure({ status: 404, body: 'nginx' })).reason).toBe('ENGINE_FAILED');
});

test.each<[string, FakeScript]>([
  ['an error', { status: 500, body: { error: { message: 'SECRET prompt', code: 'oom', key: 'SECRET' } } }],
  ['an error that is no JSON', { status: 502, body: 'SECRET' }],
  ['a refusal', { status: 400, body: { error: { message: 'bad', type: 'SECRET is no code', input: 'SECRET' } } }],
  ['an error in mid-stream', { tokens: 9, atToken: 2, fault: 'error' }],
  ['garbage in mid-stream', { tokens: 9, atToken: 2, fault: 'garbage' }],
  ['no stream', { status: 200, body: { text: 'SECRET' } }],
])('the log never sees what %s says', async (_what, script) => {
  expect(inspect(await failure(script), { depth: 9, showHidden: true })).not.toMatch(/secret|nsense|valid JSON/i);
});

test('a model that is gone is our fault, not the caller’s', async () => {
  const body = {
    error: { message: 'The model `m` does not exist.', code: 404, type: 'NotFoundError', param: 'model' },
  };
  const error = await failure({ status: 404, body });
  expect(error).toMatchObject({ reason: 'ENGINE_FAILED', message: 'The engine failed.', metadata: { engine: 'chat' } });
});

test.each([
  [[{ type: 'le', loc: ['body', 'temperature'], msg: 'too hot', input: 9 }], 'too hot', 'temperature'],
  [[{ loc: ['body', 'messages', 0, 'content'], msg: 'Field required' }], 'Field required', 'messages.0.content'],
  [[{ loc: ['body'], msg: 'Bad body' }], 'Bad body', undefined],
  ['Bad in general', 'Bad in general', undefined],
])('FastAPI’s refusal %j names the field', async (detail, message, field) => {
  const error = await failure({ status: 422, body: { detail } });
  expect(error).toMatchObject({ reason: 'INVALID_FIELD', message });
  expect(error.metadata.field).toBe(field);
});

test('a field is named with dots whatever the engine writes, and not at all when it is no name', async () => {
  const field = async (param: string) =>
    (await failure({ status: 400, body: { error: { message: 'bad', param } } })).metadata.field;
  expect(await field('messages[0].content')).toBe('messages.0.content');
  expect(await field('/srv/model here')).toBeUndefined();
});

test('the log sees the status and the code', async () => {
  const error = await failure({ status: 500, body: { error: { message: 'x', code: null, type: 'oom' } } });
  expect(error.cause).toEqual(new Error('status 500, code oom'));
});

test('what is no HTTP is not logged as bytes', async () => {
  const server = createServer((socket) => socket.on('data', () => socket.end('SECRET nonsense\r\n\r\n'))).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  const odd = connectTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
  const sink = new RecordingSink();
  odd.generate(chat(), recordingCall(), sink);
  await sink.over;
  const probed = await odd.probe(AbortSignal.timeout(1_000)).catch((error: unknown) => error);
  expect(sink.outcome).toMatchObject({ reason: 'ENGINE_FAILED' });
  expect(probed).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  expect(inspect([sink.outcome, probed], { depth: 9 })).not.toContain('SECRET');
  await odd.close();
  server.close();
});

test('a message about the input is handed on without paths and addresses, and not at length', async () => {
  const told = async (message: string) => (await failure({ status: 400, body: { error: { message } } })).message;
  expect(await told('File "/opt/venv/lib/api.py", line 3: bad top_p')).toBe('File "<path>", line 3: bad top_p');
  expect(await told('no /model.gguf, see http://10.0.0.7:8000/docs or C:\\a\\b.py')).toBe(
    'no <path>, see <address> or <path>',
  );
  expect(await told('text/plain and/or </s> at 10/20/30')).toBe('text/plain and/or </s> at 10/20/30');
  expect(await told('é'.repeat(5_000))).toHaveLength(300);
});

test('an endless error is cut short', async () => {
  const endless = await failure({ status: 500, endlessBody: true, body: 'x'.repeat(10_000) });
  expect(endless.reason).toBe('ENGINE_FAILED');
  await untilCounts({ running: 0 });
});

test('a bill that is no bill is not believed', async () => {
  const sink = await run({ tokens: 3, usage: { prompt_tokens: -1, completion_tokens: 'many' } });
  expect(sink.outcome).toBe('end');
  expect(sink.usage).toMatchObject({ promptTokens: 0, completionTokens: 3 });
});

test('nobody there is NO_HEALTHY_ENGINE', async () => {
  const gone = await startFakeEngine();
  await gone.stop();
  const nowhere = connectTo(gone.baseUrl);
  const sink = new RecordingSink();
  nowhere.generate(chat(), recordingCall(), sink);
  expect(await sink.over).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  await nowhere.close();
});

async function untilCounts(expected: object): Promise<void> {
  await expect.poll(() => fake.counts(), { timeout: 2_000, interval: 5 }).toMatchObject(expected);
}

const gone = new MeshError('CLIENT_GONE', 'gone');

test.each([
  ['before the headers', { headersMs: 60_000 }],
  ['before the first token', { firstTokenMs: 60_000 }],
  ['in mid-stream', { everyMs: 10, tokens: 100_000 }],
] as const)('cancelling %s reaches the engine', async (_when, script) => {
  await fake.script(script);
  const { aborted } = await fake.counts();
  const call = recordingCall();
  const sink = new RecordingSink();
  connection.generate(chat(), call, sink);
  await untilCounts({ running: 1 });
  if ('everyMs' in script) await expect.poll(() => sink.deltas.length).toBeGreaterThan(2);
  const at = performance.now();
  call.abort.abort(gone);
  expect(sink.outcome).toBe(gone);
  await untilCounts({ running: 0, aborted: aborted + 1 });
  expect(performance.now() - at).toBeLessThan(1_000);
});

test('a request that waits for a connection is cancelled without ever being sent', async () => {
  await fake.script({ firstTokenMs: 60_000 });
  const { served, aborted } = await fake.counts();
  const narrow = connectTo(fake.baseUrl, { max_concurrency: 1 });
  const [first, second] = [recordingCall(), recordingCall()];
  const [firstSink, secondSink] = [new RecordingSink(), new RecordingSink()];
  narrow.generate(chat(), first, firstSink);
  await untilCounts({ running: 1 });
  narrow.generate(chat(), second, secondSink);
  second.abort.abort(gone);
  expect(secondSink.outcome).toBe(gone);
  await fake.script({});
  first.abort.abort(gone);
  // The connection goes on to a third request; the second never reached the engine.
  const third = new RecordingSink();
  narrow.generate(chat(), recordingCall(), third);
  expect(await third.over).toBe('end');
  await untilCounts({ running: 0, aborted: aborted + 1, served: served + 1 });
  await narrow.close();
});

test('a sink that cancels at an event gets nothing after it', async () => {
  await fake.script({ tokens: 20, perWrite: 20 });
  const call = recordingCall();
  const sink = new RecordingSink();
  sink.onEvent = (event) => {
    if (event.event.case === 'delta') call.abort.abort(gone);
  };
  connection.generate(chat(), call, sink);
  await sink.over;
  expect(sink.outcome).toBe(gone);
  expect(sink.kinds).toEqual(['started', 'delta']);
});

test('an aborted call is refused at once, a late one at its time limit', async () => {
  const call = recordingCall();
  call.abort.abort(gone);
  const sink = new RecordingSink();
  connection.generate(chat(), call, sink);
  expect(sink.outcome).toBe(gone);
  await fake.script({ headersMs: 60_000 });
  const late = new RecordingSink();
  connection.generate(chat(), recordingCall(50), late);
  expect(await late.over).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  await untilCounts({ running: 0 });
});

test('a paused reader stops the engine and loses nothing', async () => {
  await fake.script({ tokens: 20_000, perWrite: 100, texts: ['x'.repeat(1_000)] });
  const call = recordingCall();
  const sink = new RecordingSink();
  sink.onEvent = (event) => {
    if (event.event.case === 'delta') call.flow.pause();
  };
  connection.generate(chat(), call, sink);
  await expect.poll(() => sink.deltas.length).toBeGreaterThan(0);
  const seen = sink.text().length;
  // The engine cannot get rid of its 20 MB; it is still in flight long after it would have been done.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(sink.text().length).toBe(seen);
  expect(await fake.counts()).toMatchObject({ running: 1 });
  sink.onEvent = undefined;
  call.flow.resume();
  expect(await sink.over).toBe('end');
  expect(sink.text()).toHaveLength(20_000_000);
});

test('connections are kept, and a late resume does not touch the next request on one', async () => {
  await fake.script({ tokens: 2 });
  const narrow = connectTo(fake.baseUrl, { max_concurrency: 1 });
  const call = recordingCall();
  const sink = new RecordingSink();
  narrow.generate(chat(), call, sink);
  await sink.over;
  call.flow.pause();
  await fake.script({ tokens: 20_000, perWrite: 100, texts: ['x'.repeat(1_000)] });
  const next = recordingCall();
  const nextSink = new RecordingSink();
  nextSink.onEvent = () => next.flow.pause();
  narrow.generate(chat(), next, nextSink);
  await expect.poll(() => next.flow.paused).toBe(true);
  const seen = nextSink.text().length;
  call.flow.resume();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(nextSink.text().length).toBe(seen);
  nextSink.onEvent = undefined;
  next.flow.resume();
  expect(await nextSink.over).toBe('end');
  await narrow.close();
});

test('an answer that is left open after its end is closed', async () => {
  const { aborted } = await fake.counts();
  const sink = await run({ leaveOpen: true });
  expect(sink.outcome).toBe('end');
  await untilCounts({ running: 0, aborted: aborted + 1 });
});

test('the key goes upstream, and so do extras', async () => {
  const keyed = connectTo(fake.baseUrl, { api_key_env: 'UPSTREAM_KEY' });
  const sink = new RecordingSink();
  keyed.generate(chat({ temperature: 0, seed: 7n }, { engineOptions: { guided_regex: 'a+' } }), recordingCall(), sink);
  expect(await sink.over).toBe('end');
  const { last } = await fake.counts();
  expect(last?.headers.authorization).toBe('Bearer key-of-upstream');
  expect(last?.headers['x-request-id']).toBe('req_test');
  expect(last?.body).toMatchObject({ model: 'm', temperature: 0, seed: 7, guided_regex: 'a+', stream: true });
  await keyed.close();
});

test('the address that is shown is origin and path', () => {
  const entry = { name: 'a', engine: 'openai', base_url: 'https://x.test:8443/v1/' } as OpenAiEntry;
  expect(openAiEngine(entry).address).toBe('https://x.test:8443/v1');
  const hostile = { ...entry, base_url: 'http://a:hunter2@x.test/v1?key=hunter2#hunter2' };
  expect(openAiEngine(hostile).address).toBe('http://x.test/v1');
});

test('a probe tells the model and its context', async () => {
  const unnamed = connectTo(fake.baseUrl, { model: undefined });
  expect(await unnamed.probe(AbortSignal.timeout(1_000))).toEqual({ modelId: 'fake-model', contextTokens: 4096 });
  await fake.script({ healthStatus: 500 });
  await expect(unnamed.probe(AbortSignal.timeout(1_000))).rejects.toThrow();
  await unnamed.close();
});
