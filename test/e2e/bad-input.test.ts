import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { sendUntilStored } from '../harness/answers.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { eventually } from '../harness/processes.ts';

const MIB = 1024 * 1024;
const messages = [{ role: 'user', content: 'hi' }];

interface Bad {
  readonly body: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Record<string, string>;
  readonly status: number;
  /** What the error's `param` is, or its text contains. */
  readonly param?: string | null;
  readonly says?: RegExp;
}

const json = (value: unknown): string => JSON.stringify(value);

const BAD: Record<string, Bad> = {
  'malformed JSON': { body: '{"model": ', status: 400, says: /JSON/ },
  'no JSON object': { body: '[]', status: 400 },
  'an empty body': { body: '', status: 400 },
  'another content type': {
    body: 'a=b',
    headers: { 'content-type': 'text/plain' },
    status: 415,
    says: /application\/json/,
  },
  'a missing field': { body: json({ model: 'fake' }), status: 400, param: 'messages' },
  'a wrong type': { body: json({ model: 'fake', messages, max_tokens: 'many' }), status: 400, param: 'max_tokens' },
  'a wrong type deep inside': {
    body: json({ model: 'fake', messages: [{ role: 'user', content: 7 }] }),
    status: 400,
    param: 'messages.0.content',
  },
  'an unknown role': {
    body: json({ model: 'fake', messages: [{ role: 'king', content: 'hi' }] }),
    status: 400,
    param: 'messages.0.role',
  },
  'a number out of range': {
    body: json({ model: 'fake', messages, temperature: 2.5 }),
    status: 400,
    param: 'temperature',
  },
  'zero tokens': { body: json({ model: 'fake', messages, max_tokens: 0 }), status: 400, param: 'max_tokens' },
  'an unknown model': { body: json({ model: 'gpt-9', messages }), status: 404, says: /gpt-9/ },
  'a body of 11 MiB': {
    body: json({ model: 'fake', messages: [{ role: 'user', content: 'x'.repeat(11 * MIB) }] }),
    status: 413,
  },
  'nesting 100,000 deep': { body: `${'['.repeat(100_000)}${']'.repeat(100_000)}`, status: 400, says: /nest|deep/i },
  'nesting 100,000 deep in a field': {
    body: `{"model":"fake","messages":${'[{"a":'.repeat(100_000)}1${'}]'.repeat(100_000)}}`,
    status: 400,
    says: /nest|deep/i,
  },
  'a gzip bomb': {
    body: gzipSync(Buffer.alloc(512 * MIB)),
    headers: { 'content-encoding': 'gzip' },
    status: 415,
    says: /encoding/i,
  },
  'a polluted prototype': {
    body: '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"model":"fake"}',
    status: 400,
    param: 'messages',
  },
};

describe.each(arrangements())('bad input, %s', (arrangement) => {
  let mesh: TestMesh;
  let engine: FakeEngine;
  let running: Promise<string>;
  beforeAll(async () => {
    engine = await startFakeEngine({ tokens: 100_000, everyMs: 20 });
    const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
    mesh = await startMesh(arrangement, { config: { inference: { models } } });
    // A stream that runs beside everything that follows.
    const body = json({ model: 'fake', messages, stream: true, max_tokens: 100_000 });
    const stream = await sendUntilStored(() => post({ body, status: 200 }));
    running = stream.text();
    if (stream.status !== 200) throw new Error(`no stream: ${stream.status} ${await running}`);
  });
  afterAll(async () => {
    await engine.stop();
    await running.catch(() => '');
    await mesh.stop();
  });

  function post(bad: Bad, path = '/v1/chat/completions'): Promise<Response> {
    const headers = { authorization: `Bearer ${mesh.adminKey}`, 'content-type': 'application/json', ...bad.headers };
    return fetch(mesh.url + path, { method: 'POST', headers, body: bad.body });
  }

  test.each(Object.entries(BAD))('%s', async (_name, bad) => {
    const response = await post(bad);
    const { error, detail } = (await response.json()) as { error: Record<string, unknown>; detail: string };
    expect(response.status).toBe(bad.status);
    expect(response.headers.get('x-request-id')).toBeTruthy();
    expect(error).toMatchObject({ message: expect.any(String), type: expect.any(String) });
    expect(detail).toBe(error.message);
    if (bad.param !== undefined) expect(error.param).toBe(bad.param);
    if (bad.says) expect(error.message).toMatch(bad.says);
  });

  test('an RPC refuses what is too deep, too large or inflates too far', async () => {
    const rpc = async (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
      fetch(`${mesh.url}/mesh.router.v1.RouterService/ListModels`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${mesh.adminKey}`,
          'content-type': 'application/json',
          'connect-protocol-version': '1',
          ...headers,
        },
        body: body,
      });
    expect((await rpc('['.repeat(100_000))).status).toBe(400);
    expect((await rpc(' '.repeat(17 * MIB))).status).toBe(429);
    expect((await rpc(gzipSync(Buffer.alloc(512 * MIB)), { 'content-encoding': 'gzip' })).status).toBe(429);
    expect((await rpc('{}')).status).toBe(200);
  });

  test('an unknown route is 404, a wrong method 405 with Allow', async () => {
    const unknown = await post({ body: '{}', status: 404 }, '/v1/nothing');
    expect(unknown.status).toBe(404);
    const wrong = await fetch(`${mesh.url}/v1/chat/completions`);
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get('allow')).toContain('POST');
  });

  test('two different credentials are 400, an unknown one 401', async () => {
    const body = json({ model: 'fake', messages });
    expect((await post({ body, headers: { 'x-api-key': 'another' }, status: 400 })).status).toBe(400);
    const unknown = await post({ body, headers: { authorization: 'Bearer im_nobody' }, status: 401 });
    expect(unknown.status).toBe(401);
    expect(await unknown.json()).toMatchObject({ detail: 'Invalid API key', error: { code: 'invalid_api_key' } });
  });

  test('bytes that are no HTTP are answered or cut, not kept', async () => {
    const socket = connect(Number(new URL(mesh.url).port), '127.0.0.1', () =>
      socket.end('\u0000\u0001garbage\r\n\r\n'),
    );
    socket.on('error', () => {
      // A reset is an answer too.
    });
    await eventually('the socket is closed', () => socket.closed || socket.resume().destroyed);
  });

  test('after all that the process lives and the other stream still runs', async () => {
    for (const [role, { child }] of mesh.processes) expect([role, child.exitCode]).toEqual([role, null]);
    expect((await engine.counts()).running).toBe(1);
    expect((await fetch(`${mesh.url}/healthz`)).status).toBe(200);
  });
});
