import http, { type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import { createHostRule } from './host-rule.ts';
import { BEARER, startTestListener } from './listener.fixture.ts';

const request = (host: string | undefined, encrypted = false) =>
  ({ headers: { host }, socket: encrypted ? { encrypted } : {} }) as unknown as IncomingMessage;

describe('on a loopback address', () => {
  const rule = createHostRule(true, ['chat.example.com']);

  test.each([
    ...[
      'localhost',
      'LOCALHOST:8000',
      'localhost.',
      'a.localhost',
      '127.0.0.1:8000',
      '10.1.2.3',
      '[::1]:8000',
      '[::1]',
    ],
    ...['gateway', 'gateway:8000', 'host.docker.internal:8000', 'chat.example.com', 'Chat.Example.com:443', ''],
    undefined,
  ])('%s leads here', (host) => {
    expect(rule(request(host))).toBeUndefined();
  });

  test.each([
    ...[
      'evil.example',
      'evil.example:8000',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'chat.example.com.evil',
    ],
    ...['127.1.evil', '[evil.example]', 'a.chat.example.com', 'xlocalhost.example', 'evil.example.'],
  ])('%s does not, also after one that does', (host) => {
    expect(rule(request('localhost'))).toBeUndefined();
    expect(rule(request(host))).toMatchObject({ status: 421 });
  });

  test('over TLS the certificate decides', () => {
    expect(rule(request('evil.example', true))).toBeUndefined();
  });
});

test('elsewhere every name leads here, unless some are named', () => {
  expect(createHostRule(false, undefined)(request('any.example'))).toBeUndefined();
  expect(createHostRule(false, ['one.example'])(request('any.example'))).toMatchObject({ status: 421 });
  expect(createHostRule(false, [])(request('10.0.0.7:8000'))).toBeUndefined();
});

describe('a page whose name was made to lead here', async () => {
  const { listener } = await startTestListener({ fallback: (_request, response) => void response.end('secret') });
  afterAll(() => listener.close());

  test('reads nothing over HTTP/1.1', async () => {
    for (const path of ['/', '/mesh.router.v1.RouterService/ListModels']) {
      const options = { port: listener.port, path, headers: { host: 'evil.example', ...BEARER } };
      const response = await new Promise<IncomingMessage>((resolve) => http.get(options, resolve));
      expect(response.statusCode).toBe(421);
      const body = (await response.toArray()).join('');
      expect(JSON.parse(body)).toMatchObject({ status_code: 421, detail: expect.stringContaining('allowed_hosts') });
      expect(response.headers['x-request-id']).toBeTruthy();
    }
  });

  test.each([{ ':authority': 'evil.example' }, { ':authority': 'localhost', host: 'evil.example' }])(
    'reads nothing over HTTP/2 as %o',
    async (headers) => {
      const session = http2.connect(listener.url);
      const stream = session.request({ ':path': '/', ...headers });
      const status = await new Promise((resolve) => stream.once('response', (got) => resolve(got[':status'])));
      expect(status).toBe(421);
      session.destroy();
    },
  );
});
