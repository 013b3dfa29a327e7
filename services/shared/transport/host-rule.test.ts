import http, { type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import { createHostRule } from './host-rule.ts';
import { BEARER, startTestListener } from './listener.fixture.ts';

const request = (host: string | undefined, socket: { encrypted?: boolean; localPort?: number } = { localPort: 8000 }) =>
  ({ headers: { host }, socket }) as unknown as IncomingMessage;

describe('on a loopback address, with names', () => {
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
    expect(rule(request('evil.example', { encrypted: true }))).toBeUndefined();
  });
});

describe('on a loopback address, without names', () => {
  test.each([
    'chat.example.com',
    'chat.example.com:443',
    'chat.example.com:80',
    'chat.example.com:',
    'chat.example.com.',
    'chat.example.com:8443',
  ])('%s was meant for a proxy, which passes it on', (host) => {
    expect(createHostRule(true, undefined)(request(host))).toBeUndefined();
  });

  test.each([
    'evil.example:8000',
    'evil.example.:8000',
    'evil.example:08000',
    '[evil.example]:8000',
    'a b.example:8000',
  ])('%s is how a browser writes it that connected to this port', (host) => {
    const rule = createHostRule(true, undefined);
    expect(rule(request('localhost:8000'))).toBeUndefined();
    expect(rule(request('chat.example.com'))).toBeUndefined();
    expect(rule(request(host))).toMatchObject({ status: 421 });
  });

  test('on port 80 no proxy can be told from a browser', () => {
    const rule = createHostRule(true, undefined);
    expect(rule(request('evil.example', { localPort: 80 }))).toMatchObject({ status: 421 });
    expect(rule(request('evil.example:80', { localPort: 80 }))).toMatchObject({ status: 421 });
  });

  test('a connection that has gone makes no name a good one', () => {
    const rule = createHostRule(true, undefined);
    expect(rule(request('evil.example:8000', {}))).toMatchObject({ status: 421 });
    expect(rule(request('evil.example:8000'))).toMatchObject({ status: 421 });
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

  const evil = `evil.example:${listener.port}`;
  /** What a script may send along, since its page has the origin that it writes to. */
  const pretences = { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-host': 'localhost', forwarded: 'host=localhost' };

  test('reads nothing over HTTP/1.1', async () => {
    for (const path of ['/', '/mesh.router.v1.RouterService/ListModels']) {
      const options = { port: listener.port, path, headers: { host: evil, ...pretences, ...BEARER } };
      const response = await new Promise<IncomingMessage>((resolve) => http.get(options, resolve));
      expect(response.statusCode).toBe(421);
      const body = (await response.toArray()).join('');
      expect(JSON.parse(body)).toMatchObject({ status_code: 421, detail: expect.stringContaining('allowed_hosts') });
      expect(response.headers['x-request-id']).toBeTruthy();
    }
  });

  test.each([{ ':authority': evil }, { ':authority': 'localhost', host: evil }])(
    'reads nothing over HTTP/2 as %o',
    async (headers) => {
      const session = http2.connect(listener.url);
      const stream = session.request({ ':path': '/', ...headers });
      const status = await new Promise((resolve) => stream.once('response', (got) => resolve(got[':status'])));
      expect(status).toBe(421);
      session.destroy();
    },
  );

  test.each(['/v1/models', '/text2sql', '/chat'])('is refused in the shape of the errors of %s', async (path) => {
    const response = await new Promise<IncomingMessage>((resolve) =>
      http.get({ port: listener.port, path, headers: { host: evil } }, resolve),
    );
    const body = JSON.parse((await response.toArray()).join(''));
    expect(body).toEqual({
      detail: body.error.message,
      error: { message: expect.any(String), type: 'invalid_request_error', param: null, code: null },
    });
  });

  test('is served where it came through a proxy', async () => {
    for (const host of ['chat.example.com', 'chat.example.com:443']) {
      const options = { port: listener.port, path: '/', headers: { host } };
      const response = await new Promise<IncomingMessage>((resolve) => http.get(options, resolve));
      expect([response.statusCode, (await response.toArray()).join('')]).toEqual([200, 'secret']);
    }
  });
});
