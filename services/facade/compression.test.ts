import { execFile } from 'node:child_process';
import http, { type IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { COMPRESS_FROM } from './http/compression.ts';
import { CHAT, event, KEY, startFacade } from './test-facade.ts';

const run = promisify(execFile);
const TEXT = 'Many words, and the same ones again. '.repeat(400);
let text = TEXT;
const facade = await startFacade({
  script: ({ sink }) => {
    sink.event(event('delta', { text }));
    sink.event(event('finished', { reason: 1 }));
    sink.event(event('usage', { promptTokens: 1, completionTokens: 1 }));
    sink.end();
  },
  auth: { generateApiKey: () => ({ secret: 'im_'.padEnd(3 * COMPRESS_FROM, 'x') }) },
});
afterAll(() => facade.close());

interface Received {
  readonly response: IncomingMessage;
  readonly bytes: Buffer;
}

/** A request of a client that decodes nothing by itself. */
function call(path: string, acceptEncoding: string | undefined, body?: object, method = 'POST'): Promise<Received> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${KEY}`,
      'content-type': 'application/json',
      ...(acceptEncoding === undefined ? {} : { 'accept-encoding': acceptEncoding }),
    };
    const request = http.request({ port: facade.port, path, method, headers }, async (response) => {
      resolve({ response, bytes: Buffer.concat(await response.toArray()) });
    });
    request.on('error', reject).end(body && JSON.stringify(body));
  });
}

const DECODED: Record<string, (bytes: Buffer) => Buffer> = { br: brotliDecompressSync, gzip: gunzipSync };

test.each([
  ['gzip', 'gzip'],
  ['gzip, deflate, br', 'br'],
  ['br;q=0.1, GZIP', 'gzip'],
  ['*', 'br'],
])('to %j a long answer comes as %s', async (accepted, encoding) => {
  const { response, bytes } = await call('/v1/chat/completions', accepted, CHAT);
  expect(response.headers).toMatchObject({
    'content-encoding': encoding,
    'content-length': String(bytes.length),
    'content-type': 'application/json; charset=utf-8',
    vary: 'Accept-Encoding',
    'x-request-id': expect.any(String),
  });
  expect(bytes.length).toBeLessThan(TEXT.length / 5);
  const answer = JSON.parse(DECODED[encoding]?.(bytes).toString() ?? '');
  expect(answer.choices[0].message.content).toBe(TEXT);
});

test.each([undefined, '', 'identity', 'deflate', 'gzip;q=0', 'gzip;q=0.1, identity', '*;q=0'])(
  'to %j it comes as it is, and says that it varies',
  async (accepted) => {
    const { response, bytes } = await call('/v1/chat/completions', accepted, CHAT);
    expect(response.headers['content-encoding']).toBeUndefined();
    expect(response.headers.vary).toBe('Accept-Encoding');
    expect(JSON.parse(bytes.toString()).choices[0].message.content).toBe(TEXT);
  },
);

test('a short answer, an event stream and a secret are never compressed', async () => {
  const stream = await call('/v1/chat/completions', 'gzip, br', { ...CHAT, stream: true });
  expect(stream.response.headers['content-encoding']).toBeUndefined();
  expect(stream.bytes.toString()).toContain(TEXT.slice(0, 100));
  const secret = await call('/generate_apikey', 'gzip, br', { username: 'alice' });
  expect([secret.response.statusCode, secret.response.headers['content-encoding']]).toEqual([200, undefined]);
  expect(secret.bytes.length).toBeGreaterThan(COMPRESS_FROM);
  text = 'short';
  const short = await call('/v1/chat/completions', 'gzip, br', CHAT);
  expect([short.response.headers['content-encoding'], short.response.headers.vary]).toEqual([undefined, undefined]);
  text = TEXT;
});

test('curl, and a fetch that asks for it by itself, read it', async () => {
  const body = JSON.stringify(CHAT);
  const answer = await (await facade.post('/v1/chat/completions', CHAT)).json();
  expect(answer).toMatchObject({ choices: [{ message: { content: TEXT } }] });
  const headers = ['-H', `authorization: Bearer ${KEY}`, '-H', 'content-type: application/json'];
  const args = ['-sS', '--compressed', ...headers, '-d', body, `${facade.url}/v1/chat/completions`];
  expect(JSON.parse((await run('curl', args)).stdout).choices[0].message.content).toBe(TEXT);
});
