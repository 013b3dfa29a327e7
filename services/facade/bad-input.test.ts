import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LimitStateSchema } from '../../gen/mesh/quota/v1/limit_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { CHAT, KEY, LIMITS, startFacade, type TestFacade } from './test-facade.ts';

const CHAT_PATH = '/v1/chat/completions';
let facade: TestFacade;
let fail: MeshError | undefined;
let draining = false;

beforeEach(async () => {
  fail = undefined;
  draining = false;
  facade = await startFacade({
    config: { body_timeout_seconds: 0.2 },
    resources: { isDraining: () => draining },
    listenerHeaders: () => (draining ? { connection: 'close' } : {}),
    script: ({ sink }) => {
      if (fail) sink.fail(fail);
    },
  });
});
afterEach(() => facade.close());

async function errorOf(response: Response) {
  const body = (await response.json()) as { detail: string; error: { message: string } };
  expect(body.detail).toBe(body.error.message);
  expect(response.headers.get('x-request-id')).toBeTruthy();
  return { status: response.status, ...body.error };
}

test.each([
  ['malformed JSON', '{"model":', 'invalid_json', null],
  ['an empty body', '', 'invalid_json', null],
  ['an array', '[]', 'invalid_value', 'body'],
  ['a missing field', '{"model":"m"}', 'invalid_value', 'messages'],
  ['a wrong type', JSON.stringify({ ...CHAT, temperature: '1' }), 'invalid_value', 'temperature'],
  ['a number out of range', JSON.stringify({ ...CHAT, top_p: 7 }), 'invalid_value', 'top_p'],
  ['100,000 levels', '['.repeat(100_000), 'invalid_json', null],
  ['65 levels', `{"model":"m","x":${'['.repeat(64)}${']'.repeat(64)}}`, 'invalid_json', null],
])('%s is 400 and names the field', async (_name, body, code, param) => {
  const response = await facade.post(CHAT_PATH, body);
  expect(await errorOf(response)).toMatchObject({ status: 400, type: 'invalid_request_error', code, param });
  expect(response.headers.get('x-ratelimit-limit-minute')).toBe('30');
  expect(facade.generations).toHaveLength(0);
});

test('invalid UTF-8 is 400', async () => {
  const body = Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xff]), Buffer.from('"}')]);
  const response = await facade.call(CHAT_PATH, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  });
  expect(await errorOf(response)).toMatchObject({ status: 400, code: 'invalid_json' });
});

test('11 MiB is 413, announced or not', async () => {
  const big = JSON.stringify({ ...CHAT, pad: 'x'.repeat(11 * 1024 * 1024) });
  expect(await errorOf(await facade.post(CHAT_PATH, big))).toMatchObject({ status: 413, code: 'request_too_large' });
  const chunked = await facade.call(CHAT_PATH, {
    method: 'POST',
    body: new Blob([big]).stream(),
    duplex: 'half',
    headers: { 'content-type': 'application/json' },
  } as RequestInit);
  expect(await errorOf(chunked)).toMatchObject({ status: 413 });
});

test.each([
  ['malformed', '{', ''],
  ['too large', 'x'.repeat(11 * 1024 * 1024), ''],
  ['of the wrong type', '{}', 'content-type: text/plain\r\n'],
])('after a body that is %s the connection goes on', async (_name, body, header) => {
  const socket = net.connect(facade.port, '127.0.0.1');
  const head = `POST ${CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\n`;
  socket.write(`${head}${header || 'content-type: application/json\r\n'}content-length: ${body.length}\r\n\r\n`);
  socket.write(`${body}GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  await once(socket, 'close');
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual([expect.stringMatching(/ 4\d\d$/), 'HTTP/1.1 200']);
});

test('a compressed body is 415 and is not opened', async () => {
  const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024, 0x20));
  const response = await facade.call(CHAT_PATH, {
    method: 'POST',
    body: bomb,
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  });
  expect(await errorOf(response)).toMatchObject({ status: 415, param: 'Content-Encoding' });
});

test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16', 'nonsense'])(
  'a body of type %s is 415',
  async (type) => {
    const response = await facade.post(CHAT_PATH, CHAT, { 'content-type': type });
    expect((await errorOf(response)).status).toBe(415);
  },
);

test('a body without a type is 415, none at all 400', async () => {
  const untyped = await facade.call(CHAT_PATH, { method: 'POST', body: Buffer.from('{}') });
  expect(untyped.status).toBe(415);
  const none = await facade.call(CHAT_PATH, { method: 'POST' });
  expect(await errorOf(none)).toMatchObject({ status: 400, param: 'body' });
});

test('a body that does not arrive in time is 408, and the connection closes', async () => {
  const socket = net.connect(facade.port, '127.0.0.1');
  socket.write(
    `POST ${CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
  );
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  await once(socket, 'close');
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  expect(answer).toContain('"code":"request_timeout"');
});

test('__proto__ in a body is harmless', async () => {
  const body =
    '{"model":"m","messages":[{"role":"user","content":"x"}],"__proto__":{"polluted":1},"x":{"\\u005f_proto__":{"polluted":1}}}';
  void facade.post(CHAT_PATH, body).catch(() => undefined);
  await expect.poll(() => facade.generations.length).toBe(1);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(facade.generations[0]?.request.engineOptions).toEqual({ x: {} });
  facade.generations[0]?.sink.fail(new MeshError('INTERNAL', 'x'));
});

test('credentials: none, wrong, wrong scheme, two', async () => {
  const bare = await fetch(facade.url + CHAT_PATH, { method: 'POST', body: '{' });
  expect(await bare.clone().json()).toMatchObject({ detail: 'Invalid API key' });
  expect(await errorOf(bare)).toMatchObject({ status: 401, code: 'invalid_api_key', message: 'Invalid API key' });
  expect(bare.headers.get('x-ratelimit-limit-minute')).toBeNull();
  const wrong = await facade.post(CHAT_PATH, CHAT, { authorization: 'Bearer sk-wrong' });
  expect((await errorOf(wrong)).status).toBe(401);
  // A wrong key outweighs whatever else is wrong.
  const wrongBoth = await facade.post(CHAT_PATH, '{', { authorization: 'Bearer sk-wrong' });
  expect((await errorOf(wrongBoth)).status).toBe(401);
  const basic = await facade.post(CHAT_PATH, CHAT, { authorization: 'Basic abc' });
  expect((await errorOf(basic)).status).toBe(401);
  const two = await facade.post(CHAT_PATH, CHAT, { 'x-api-key': 'sk-other' });
  expect(await errorOf(two)).toMatchObject({ status: 400, code: 'credential_conflict' });
  expect((await fetch(`${facade.url}/v1/models`, { headers: { 'x-api-key': KEY } })).status).toBe(200);
});

test('two Authorization headers that differ are 400', async () => {
  const socket = net.connect(facade.port, '127.0.0.1');
  socket.write(
    `GET /v1/models HTTP/1.1\r\nhost: x\r\nAuthorization: Bearer ${KEY}\r\nauthorization: Bearer other\r\nconnection: close\r\n\r\n`,
  );
  const [data] = await once(socket, 'data');
  expect(String(data)).toMatch(/^HTTP\/1.1 400 /);
  socket.destroy();
});

test.each([
  ['MODEL_NOT_FOUND', 404, 'model_not_found', null],
  ['CONTEXT_LENGTH_EXCEEDED', 400, 'context_length_exceeded', null],
  ['MODEL_NOT_GRANTED', 403, 'permission_denied', null],
  ['QUEUE_FULL', 503, 'server_is_overloaded', '1'],
  ['ENGINE_FAILED', 502, 'bad_gateway', null],
  ['DEADLINE_EXCEEDED', 504, 'timeout', null],
  ['CONFLICT', 409, 'conflict', null],
] as const)('%s is %i', async (reason, status, code, retryAfter) => {
  fail = new MeshError(reason, 'the message');
  const response = await facade.post(CHAT_PATH, CHAT);
  expect(await errorOf(response)).toMatchObject({ status, code });
  expect(response.headers.get('retry-after')).toBe(retryAfter);
  expect(response.headers.get('x-ratelimit-limit-minute')).toBe('30');
});

test('429 tells the wait and the limits; a long wait is not retried by SDKs', async () => {
  const limits = LIMITS.map((limit) => create(LimitStateSchema, { ...limit, remaining: 0n }));
  const text = "Rate limit exceeded. Maximum 30 requests per minute allowed for tier 'standard'.";
  fail = new MeshError('RATE_LIMIT_EXCEEDED', text, { retryAfterMs: 1200, limits });
  const short = await facade.post(CHAT_PATH, CHAT);
  expect(short.headers.get('retry-after')).toBe('2');
  expect(short.headers.get('retry-after-ms')).toBe('1200');
  expect(short.headers.get('x-should-retry')).toBeNull();
  expect(short.headers.get('x-ratelimit-remaining-minute')).toBe('0');
  expect(await errorOf(short)).toMatchObject({
    status: 429,
    type: 'rate_limit_error',
    code: 'rate_limit_exceeded',
    message: text,
  });
  fail = new MeshError('RATE_LIMIT_EXCEEDED', text, { retryAfterMs: 61_000, limits });
  expect((await facade.post(CHAT_PATH, CHAT)).headers.get('x-should-retry')).toBe('false');
  fail = new MeshError('TOKEN_BUDGET_SPENT', 'spent', { retryAfterMs: 61_000, limits });
  const spent = await facade.post(CHAT_PATH, CHAT);
  expect(spent.headers.get('x-should-retry')).toBe('false');
  // Running work may give back what it holds of a budget at any moment.
  fail = new MeshError('TOKEN_BUDGET_SPENT', 'spent', { retryAfterMs: 1_000, limits });
  expect((await facade.post(CHAT_PATH, CHAT)).headers.get('x-should-retry')).toBeNull();
  expect(await errorOf(spent)).toMatchObject({ status: 429, code: 'insufficient_quota' });
});

test('under /generate the short error of a 429 is the one that clients of the task queue know', async () => {
  fail = new MeshError('RATE_LIMIT_EXCEEDED', 'Rate limit exceeded. Maximum …', { retryAfterMs: 1_200 });
  const refused = await facade.post('/generate', { model_name: 'm', prompt: 'x' });
  expect(await refused.json()).toEqual({
    ...{ detail: 'Rate limit exceeded. Maximum …', error: 'Rate limit exceeded', status_code: 429 },
  });
  expect(refused.headers.get('retry-after')).toBe('2');
});

test('unknown routes are 404 in the shape of their family, whatever their body', async () => {
  const v1 = await facade.call('/v1/nope', { method: 'POST', body: 'text' });
  expect(await errorOf(v1)).toMatchObject({ status: 404, code: 'not_found' });
  const other = await facade.call('/nope');
  expect(other.status).toBe(404);
  expect(await other.json()).toEqual({ detail: expect.any(String), error: 'Not Found', status_code: 404 });
  const badUrl = await facade.call('/v1/models/%zz');
  expect(badUrl.status).toBe(400);
  expect(badUrl.headers.get('x-request-id')).toBeTruthy();
});

test('wrong methods are 405 with Allow; OPTIONS and HEAD work', async () => {
  const get = await facade.call(CHAT_PATH);
  expect(get.status).toBe(405);
  expect(get.headers.get('allow')).toBe('OPTIONS, POST');
  const remove = await facade.call('/v1/models/org/tiny', { method: 'DELETE' });
  expect(remove.status).toBe(405);
  expect(remove.headers.get('allow')).toBe('GET, HEAD, OPTIONS');
  const options = await fetch(facade.url + CHAT_PATH, { method: 'OPTIONS' });
  expect([options.status, options.headers.get('allow')]).toEqual([204, 'OPTIONS, POST']);
  const head = await facade.call('/healthz', { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test.each([
  ['GET', '/v1/nope', 404],
  ['GET', CHAT_PATH, 405],
])('%s %s is %i with the rate limits of a known caller, and without for anybody else', async (method, path, status) => {
  const known = await facade.call(path, { method });
  expect([known.status, known.headers.get('x-ratelimit-limit-minute')]).toEqual([status, '30']);
  const two = { authorization: `Bearer ${KEY}`, 'x-api-key': 'sk-other' };
  for (const headers of [{}, { authorization: 'Bearer sk-wrong' }, two] as Record<string, string>[]) {
    const stranger = await fetch(facade.url + path, { method, headers });
    expect([stranger.status, stranger.headers.get('x-ratelimit-limit-minute')]).toEqual([status, null]);
  }
});

test('while draining new work is 503 with Retry-After; reading goes on', async () => {
  draining = true;
  const response = await facade.post(CHAT_PATH, CHAT);
  expect(await errorOf(response)).toMatchObject({ status: 503, code: 'shutting_down' });
  expect(response.headers.get('retry-after')).toBe('1');
  expect((await facade.call('/v1/models')).status).toBe(200);
});

test.each(['/v1/models/%E0%A4%A', '/%zz'])(
  'the path %s is 400 and the answer says what is wrong with it',
  async (path) => {
    const response = await facade.call(path);
    const { detail } = (await response.json()) as { detail: string };
    expect([response.status, detail]).toEqual([400, expect.stringContaining('path is malformed')]);
  },
);

test('OPTIONS of the server itself names the methods of all routes', async () => {
  const request = http.request({ port: facade.port, method: 'OPTIONS', path: '*' }).end();
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  expect([response.resume().statusCode, response.headers.allow]).toEqual([204, 'DELETE, GET, HEAD, OPTIONS, POST']);
});

test.each([
  ['new work', CHAT_PATH, 503],
  ['a body that is refused', '/generate_apikey', 400],
  ['an unknown route', '/nothing', 404],
])('while draining the answer to %s says that the connection closes', async (_name, path, status) => {
  draining = true;
  const response = await facade.post(path, '{');
  expect([response.status, response.headers.get('connection')]).toEqual([status, 'close']);
});
