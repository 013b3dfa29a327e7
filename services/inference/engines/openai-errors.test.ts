import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startFakeEngine } from '../../../test/engines/fake-engine.ts';
import type { FakeScript } from '../../../test/engines/fake-openai.ts';
import {
  attachOpenAi,
  chatRequest,
  connectTo,
  type OpenAiAttachment,
} from '../../../test/engines/openai-attachment.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';

let openai: OpenAiAttachment;
beforeAll(async () => {
  openai = await attachOpenAi();
});
afterAll(() => openai.close());
beforeEach(() => openai.fake.script({}));

test.each(['reset', 'half', 'end', 'abort'] as const)('a stream that breaks off (%s) is ENGINE_LOST', async (fault) => {
  const sink = await openai.run({ tokens: 9, atToken: 4, fault });
  expect(sink.outcome).toMatchObject({ reason: 'ENGINE_LOST', metadata: { engine: 'chat', tokens_delivered: '4' } });
  expect(sink.text()).toBe(' t0 t1 t2 t3');
});

test.each(['error', 'garbage', 'huge'] as const)('nonsense in a stream (%s) is ENGINE_FAILED', async (fault) => {
  const error = await openai.failure({ tokens: 9, atToken: 2, fault });
  expect(error.reason).toBe('ENGINE_FAILED');
  expect(error.message).not.toContain('secret');
});

test('a server that cannot stream has failed', async () => {
  expect((await openai.failure({ nonStream: true })).reason).toBe('ENGINE_FAILED');
});

test('statuses become reasons', async () => {
  const told = { error: { message: 'temperature must be positive', param: 'temperature' } };
  const invalid = await openai.failure({ status: 400, body: told });
  expect(invalid).toMatchObject({ reason: 'INVALID_FIELD', message: 'temperature must be positive' });
  expect(invalid.metadata.field).toBe('temperature');
  const long = "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 tokens.";
  const context = await openai.failure({ status: 400, body: { error: { message: long } } });
  expect(context.reason).toBe('CONTEXT_LENGTH_EXCEEDED');
  expect(context.metadata).toEqual({ context_tokens: '4096', prompt_tokens: '5000' });
  const busy = await openai.failure({
    status: 503,
    headers: { 'retry-after': '7' },
    body: { error: { message: 'secret' } },
  });
  expect(busy).toMatchObject({ reason: 'ENGINE_BUSY', retryAfterMs: 7_000 });
  expect(busy.message).not.toContain('secret');
  expect((await openai.failure({ status: 429 })).reason).toBe('ENGINE_BUSY');
  const crashed = await openai.failure({ status: 500, body: { error: { message: 'secret' } } });
  expect(crashed.reason).toBe('ENGINE_FAILED');
  expect(crashed.message).not.toContain('secret');
  expect((await openai.failure({ status: 404, body: 'nginx' })).reason).toBe('ENGINE_FAILED');
});

test.each<[string, FakeScript]>([
  ['an error', { status: 500, body: { error: { message: 'SECRET prompt', code: 'oom', key: 'SECRET' } } }],
  ['an error that is no JSON', { status: 502, body: 'SECRET' }],
  ['a refusal', { status: 400, body: { error: { message: 'bad', type: 'SECRET is no code', input: 'SECRET' } } }],
  ['an error in mid-stream', { tokens: 9, atToken: 2, fault: 'error' }],
  ['garbage in mid-stream', { tokens: 9, atToken: 2, fault: 'garbage' }],
  ['no stream', { status: 200, body: { text: 'SECRET' } }],
])('the log never sees what %s says', async (_what, script) => {
  expect(inspect(await openai.failure(script), { depth: 9, showHidden: true })).not.toMatch(
    /secret|nsense|valid JSON/i,
  );
});

test('a model that is gone is our fault, not the caller’s', async () => {
  const body = {
    error: { message: 'The model `m` does not exist.', code: 404, type: 'NotFoundError', param: 'model' },
  };
  const error = await openai.failure({ status: 404, body });
  expect(error).toMatchObject({ reason: 'ENGINE_FAILED', message: 'The engine failed.', metadata: { engine: 'chat' } });
});

test.each([
  [[{ type: 'le', loc: ['body', 'temperature'], msg: 'too hot', input: 9 }], 'too hot', 'temperature'],
  [[{ loc: ['body', 'messages', 0, 'content'], msg: 'Field required' }], 'Field required', 'messages.0.content'],
  [[{ loc: ['body'], msg: 'Bad body' }], 'Bad body', undefined],
  ['Bad in general', 'Bad in general', undefined],
])('FastAPI’s refusal %j names the field', async (detail, message, field) => {
  const error = await openai.failure({ status: 422, body: { detail } });
  expect(error).toMatchObject({ reason: 'INVALID_FIELD', message });
  expect(error.metadata.field).toBe(field);
});

test('what Python prints of a body that does not validate is not handed on', async () => {
  const told = async (message: string, param: string) =>
    await openai.failure({ status: 400, body: { error: { message, param, type: 'Bad Request', code: 400 } } });
  const input = "'input': '<list of 5 items>'";
  const two = `2 validation errors:\n  {'type': 'literal_error', 'loc': 'body.stop', 'msg': "Input should be 'x'", ${input}}\n  {'type': 'too_long', 'loc': 'body.stop', 'msg': 'List should have at most 4 items', ${input}}`;
  expect(await told(two, 'body.stop')).toMatchObject({
    reason: 'INVALID_FIELD',
    message: "Input should be 'x'; List should have at most 4 items",
    metadata: { field: 'stop' },
  });
  expect(await told("1 validation error:\n  {'type': 'x'}", 'body.messages[0].content')).toMatchObject({
    message: 'The request is not valid.',
    metadata: { field: 'messages.0.content' },
  });
});

test('a field is named with dots whatever the engine writes, and not at all when it is no name', async () => {
  const field = async (param: string) =>
    (await openai.failure({ status: 400, body: { error: { message: 'bad', param } } })).metadata.field;
  expect(await field('messages[0].content')).toBe('messages.0.content');
  expect(await field('/srv/model here')).toBeUndefined();
});

test('the log sees the status and the code', async () => {
  const error = await openai.failure({ status: 500, body: { error: { message: 'x', code: null, type: 'oom' } } });
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
  odd.generate(chatRequest(), recordingCall(), sink);
  await sink.over;
  const probed = await odd.probe(AbortSignal.timeout(30_000)).catch((error: unknown) => error);
  expect(sink.outcome).toMatchObject({ reason: 'ENGINE_FAILED' });
  expect(probed).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  expect(inspect([sink.outcome, probed], { depth: 9 })).not.toContain('SECRET');
  await odd.close();
  server.close();
});

test('a message about the input is handed on without paths and addresses, and not at length', async () => {
  const told = async (message: string) => (await openai.failure({ status: 400, body: { error: { message } } })).message;
  expect(await told('File "/opt/venv/lib/api.py", line 3: bad top_p')).toBe('File "<path>", line 3: bad top_p');
  expect(await told('no /model.gguf, see http://10.0.0.7:8000/docs or C:\\a\\b.py')).toBe(
    'no <path>, see <address> or <path>',
  );
  expect(await told('text/plain and/or </s> at 10/20/30')).toBe('text/plain and/or </s> at 10/20/30');
  expect(await told('é'.repeat(5_000))).toHaveLength(300);
});

test('an endless error is cut short', async () => {
  const endless = await openai.failure({ status: 500, endlessBody: true, body: 'x'.repeat(10_000) });
  expect(endless.reason).toBe('ENGINE_FAILED');
  await openai.untilCounts({ running: 0 });
});

test('nobody there is NO_HEALTHY_ENGINE', async () => {
  const gone = await startFakeEngine();
  await gone.stop();
  const nowhere = connectTo(gone.baseUrl);
  const sink = new RecordingSink();
  nowhere.generate(chatRequest(), recordingCall(), sink);
  expect(await sink.over).toMatchObject({ reason: 'NO_HEALTHY_ENGINE' });
  await nowhere.close();
});
