import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { createAuthority } from '../harness/certificates.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const buf = join(root, 'node_modules/.bin/buf');
const directory = mkdtempSync(join(tmpdir(), 'http-surface-'));
const authority = createAuthority();
const file = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};
const ca = file('ca.crt', authority.ca);

/** Every way that a client may speak HTTP to the one port: the scheme, and what curl is told. */
const WAYS: Record<string, ['http' | 'https', string[]]> = {
  'HTTP/1.1': ['http', ['--http1.1']],
  'HTTP/2 without TLS': ['http', ['--http2-prior-knowledge']],
  'HTTP/1.1 over TLS': ['https', ['--http1.1', '--cacert', ca]],
  'HTTP/2 over TLS': ['https', ['--http2', '--cacert', ca]],
};

let mesh: TestMesh;
let engine: FakeEngine;
let port: string;
beforeAll(async () => {
  engine = await startFakeEngine({ tokens: 3 });
  const { cert, key } = authority.issue({ names: ['localhost'] });
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  mesh = await startMesh('one process', {
    config: {
      server: { cors_origins: ['https://chat.example.com'], allowed_hosts: ['chat.example.com'] },
      inference: { models },
      facade: { max_body_bytes: 2_000_000 },
    },
    env: { MESH_TLS_CERT: file('public.crt', cert), MESH_TLS_KEY: file('public.key', key) },
  });
  ({ port } = new URL(mesh.url));
});
afterAll(async () => {
  await mesh?.stop();
  await engine?.stop();
  rmSync(directory, { recursive: true });
});

interface Answer {
  readonly status: number;
  /** Of HTTP, e.g. "2" or "1.1". */
  readonly version: string;
  readonly uploaded: number;
  readonly headers: Record<string, string[]>;
  readonly body: string;
}

async function curl(args: readonly string[]): Promise<Answer> {
  const told = '\n%{http_code} %{http_version} %{size_upload}\n%{header_json}';
  const { stdout } = await run('curl', ['-sS', '--max-time', '30', '-w', told, ...args]);
  const end = stdout.search(/\n\d{3} [\d.]+ \d+\n\{/);
  const [line = '', ...json] = stdout.slice(end + 1).split('\n');
  const [status, version = '', uploaded] = line.split(' ');
  const headers = JSON.parse(json.join('\n')) as Record<string, string[]>;
  return { status: Number(status), version, uploaded: Number(uploaded), headers, body: stdout.slice(0, end) };
}

const JSON_BODY = ['-H', 'content-type: application/json'];
const chat = (more: object) =>
  JSON.stringify({ model: 'fake', messages: [{ role: 'user', content: 'hi' }], max_tokens: 50, ...more });

describe.each(Object.entries(WAYS))('%s', (_name, [scheme, told]) => {
  const call = (path: string, ...args: string[]) => curl([...told, ...args, `${scheme}://localhost:${port}${path}`]);
  const asAdmin = () => ['-H', `authorization: Bearer ${mesh.adminKey}`];

  test('answers and streams', async () => {
    const whole = await call('/v1/chat/completions', ...asAdmin(), ...JSON_BODY, '-d', chat({}));
    expect([whole.status, whole.version]).toEqual([200, told[0]?.startsWith('--http2') ? '2' : '1.1']);
    expect(JSON.parse(whole.body).choices[0].message.content).toBe(' t0 t1 t2');
    const stream = await call('/v1/chat/completions', ...asAdmin(), ...JSON_BODY, '-d', chat({ stream: true }));
    expect(stream.headers['content-type']?.[0]).toContain('text/event-stream');
    expect(stream.body.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  test('a stream that breaks ends with an error event and without [DONE]', async () => {
    await engine.script({ tokens: 9, atToken: 2, fault: 'reset' });
    const body = chat({ stream: true, resume: 'never' });
    const { status, body: events } = await call('/v1/chat/completions', ...asAdmin(), ...JSON_BODY, '-d', body);
    await engine.script({ tokens: 3 });
    expect(status).toBe(200);
    const frames = events.trimEnd().split('\n\n');
    expect(frames[0]).toContain('"choices"');
    expect(JSON.parse(frames.at(-1)?.slice('data: '.length) ?? '')).toMatchObject({
      error: { message: expect.any(String), type: 'server_error' },
    });
    expect(events).not.toContain('[DONE]');
  });

  test('HEAD, OPTIONS, 404 and 405 with Allow, each with a request id', async () => {
    const head = await call('/healthz', '-I');
    expect([head.status, Number(head.headers['content-length']?.[0]) > 0]).toEqual([200, true]);
    const options = await call('/v1/chat/completions', '-X', 'OPTIONS');
    expect([options.status, options.headers.allow]).toEqual([204, ['OPTIONS, POST']]);
    const unknown = await call('/nope');
    expect(JSON.parse(unknown.body)).toMatchObject({ status_code: 404, error: 'Not Found' });
    const answers = [head, options, unknown];
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'TRACE']) {
      const wrong = await call('/v1/chat/completions', '-X', method);
      expect([method, wrong.status, wrong.headers.allow]).toEqual([method, 405, ['OPTIONS, POST']]);
      answers.push(wrong);
    }
    for (const { headers } of answers) expect(headers['x-request-id']).toEqual([expect.any(String)]);
  });

  test('a preflight is answered without a key, for the origins that are allowed', async () => {
    const preflight = (origin: string) => {
      const asked = [
        '-H',
        'access-control-request-method: POST',
        '-H',
        'access-control-request-headers: authorization',
      ];
      return call('/v1/chat/completions', '-X', 'OPTIONS', '-H', `origin: ${origin}`, ...asked);
    };
    const { status, headers } = await preflight('https://chat.example.com');
    expect([status, headers['access-control-allow-origin']]).toEqual([204, ['https://chat.example.com']]);
    expect(headers['access-control-allow-headers']).toEqual(['authorization']);
    expect((await preflight('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
  });

  test('a body is asked for when the key is known, and refused when it is too large', async () => {
    const large = file('large.json', chat({ pad: 'x'.repeat(1_500_000) }));
    const expected = [...JSON_BODY, '-H', 'expect: 100-continue', '--expect100-timeout', '20'];
    const send = (path: string, headers: readonly string[]) =>
      call('/v1/chat/completions', ...expected, ...headers, '--data-binary', `@${path}`);
    expect(await send(large, ['-H', 'authorization: Bearer wrong'])).toMatchObject({ status: 401, uploaded: 0 });
    expect((await send(large, asAdmin())).uploaded).toBeGreaterThan(1_500_000);
    const tooLarge = file('too-large.json', chat({ pad: 'x'.repeat(3_000_000) }));
    expect(await send(tooLarge, asAdmin())).toMatchObject({ status: 413, uploaded: 0 });
  });

  test('a long answer is compressed for who asks for it', async () => {
    await engine.script({ tokens: 40, texts: ['many words and more '.repeat(10)] });
    const { headers, body } = await call(
      '/v1/chat/completions',
      '--compressed',
      ...asAdmin(),
      ...JSON_BODY,
      '-d',
      chat({}),
    );
    await engine.script({ tokens: 3 });
    expect(headers['content-encoding']?.[0]).toMatch(/^(?:br|gzip)$/);
    expect(JSON.parse(body).choices[0].message.content.length).toBe(8_000);
  });
});

test('a name that anybody may register does not lead here, one of the configuration does', async () => {
  const by = (name: string, way: string[]) => {
    const where = ['--resolve', `${name}:${port}:127.0.0.1`];
    return curl([...way, ...where, `http://${name}:${port}/health`]);
  };
  for (const way of [['--http1.1'], ['--http2-prior-knowledge']]) {
    expect((await by('evil.example', way)).status).toBe(421);
    expect((await by('chat.example.com', way)).status).toBe(200);
  }
});

test.each(['grpc', 'grpcweb', 'connect'])('RPC over TLS by %s, with a client of another language', async (protocol) => {
  const url = `https://localhost:${port}/mesh.router.v1.RouterService/ListModels`;
  const args = [
    'curl',
    '--schema',
    root,
    '--protocol',
    protocol,
    '--cacert',
    ca,
    '-H',
    `authorization: Bearer ${mesh.adminKey}`,
  ];
  const { stdout } = await run(buf, [...args, '-d', '{}', url]);
  expect(JSON.parse(stdout).models[0].names).toContain('fake');
});
