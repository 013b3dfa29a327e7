import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { create } from '@bufbuild/protobuf';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { type AppOptions, createApp } from './http/app.ts';
import { CHAT, KEY, startFacade, type TestFacade, until } from './test-facade.ts';

const CHAT_PATH = '/v1/chat/completions';
let facade: TestFacade;
afterEach(() => facade.close());

function headOf(key: string, more: string): string {
  return `POST ${CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n${more}\r\n\r\n`;
}

test('a wrong key is refused before its body has come, and the connection goes on', async () => {
  facade = await startFacade();
  const socket = net.connect(facade.port, '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  const body = JSON.stringify(CHAT);
  socket.write(headOf('sk-wrong', `content-length: ${body.length}`));
  await until(() => answer.includes('"invalid_api_key"'), 'refused without a body');
  expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  socket.write(`${body}GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  await once(socket, 'close');
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 401', 'HTTP/1.1 200']);
});

test('HTTP/2: a wrong key is refused before its body has come', async () => {
  facade = await startFacade({ protocol: 'h2c' });
  const session = http2.connect(facade.url);
  const stream = session.request({ ':path': CHAT_PATH, ':method': 'POST', 'x-api-key': 'sk-wrong' });
  stream.write('{');
  const [headers] = await once(stream, 'response');
  expect(headers[':status']).toBe(401);
  session.destroy();
});

test('the check is asked with the address of the caller, once per request, never for open routes', async () => {
  const asked: unknown[] = [];
  facade = await startFacade({
    resources: {
      authenticate: async (credential, clientIp) => {
        asked.push([credential, clientIp]);
        return create(PrincipalSchema);
      },
    },
  });
  await facade.call('/healthz');
  await facade.post(CHAT_PATH, CHAT, { 'x-forwarded-for': '203.0.113.7' });
  expect(asked).toEqual([[KEY, '203.0.113.7']]);
});

test('a check that cannot be made is its own error, not 401', async () => {
  const away = new MeshError('PEER_UNAVAILABLE', 'auth does not answer');
  facade = await startFacade({ resources: { authenticate: () => Promise.reject(away) } });
  const response = await facade.post(CHAT_PATH, CHAT);
  expect(response.status).toBe(503);
  expect(facade.generations).toHaveLength(0);
});

test.each(['http1', 'h2c'] as const)(
  '%s: a client that left while its key was checked is not waited for',
  async (protocol) => {
    let admit: (() => void) | undefined;
    const lines: string[] = [];
    facade = await startFacade({
      protocol,
      resources: {
        authenticate: () => new Promise((resolve) => (admit = () => resolve(create(PrincipalSchema)))),
        log: pino({ level: 'debug' }, { write: (line) => lines.push(line) }),
      },
    });
    if (protocol === 'http1') {
      const socket = net.connect(facade.port, '127.0.0.1');
      socket.write(headOf(KEY, 'content-length: 100'));
      await until(() => admit !== undefined, 'the check began');
      socket.destroy();
    } else {
      const session = http2.connect(facade.url);
      session.request({ ':path': CHAT_PATH, ':method': 'POST', 'x-api-key': KEY, 'content-type': 'application/json' });
      await until(() => admit !== undefined, 'the check began');
      session.destroy();
    }
    await until(() => facade.connections === 0, 'the connection closed');
    admit?.();
    await until(() => lines.some((line) => line.includes('client_closed_request')), 'the request ended');
    expect(facade.generations).toHaveLength(0);
  },
);

test('a route that does not say who may call it stops the start', () => {
  const app = createApp({} as AppOptions);
  const handler = async () => 'ok';
  expect(() => app.get('/forgotten', handler)).toThrow('the route GET /forgotten does not say who may call it');
  expect(() => app.get('/open', { config: { access: 'open' } }, handler)).not.toThrow();
});
