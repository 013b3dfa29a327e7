import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { methodName } from '../../services/shared/interceptors/access.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { type Header, openWire, type Wire } from './wire.ts';

const METHOD = methodName(AuthService.method.listUsers);
const [service = '', method = ''] = METHOD.split('/');

/** Writings of a method's path that a careless comparison takes for it, or for another path. */
const NO_METHOD = [
  METHOD,
  `//${METHOD}`,
  `/${service}//${method}`,
  `/${METHOD}/`,
  `/${METHOD}//`,
  `/${METHOD.toLowerCase()}`,
  `/${METHOD.toUpperCase()}`,
  `/${METHOD.replace('e', '%65')}`,
  `/${METHOD.replace('/', '%2F')}`,
  `/${METHOD.replace('/', '\\')}`,
  `/./${METHOD}`,
  `/x/../${METHOD}`,
  `/${service}/../${METHOD}`,
  `/${service}/x/../${method}`,
  `/${METHOD};x=1`,
  `/${METHOD}%00`,
  `/${METHOD}%20`,
  `/${METHOD}.`,
  `/${METHOD}%3Fx=1`,
  `/healthz/../${METHOD}`,
  `/${service}/Login/../${method}`,
  `http://127.0.0.1/${METHOD}`,
];

/** The same of a guarded route. A slash at the end is the route. */
const NO_ROUTE = [
  '//v1/models',
  '/V1/models',
  '/v1//models',
  '/v1/./models',
  '/x/../v1/models',
  '/healthz/../v1/models',
  '/v1/models;x=1',
];

const [arrangement = 'one process'] = arrangements().reverse();

describe(`writings of a path, ${arrangement}`, () => {
  let mesh: TestMesh;
  let wire: Wire;

  beforeAll(async () => {
    mesh = await startMesh(arrangement, { args: ['--model', 'none'] });
    wire = openWire(mesh.url);
  });
  afterAll(async () => {
    wire?.close();
    await mesh?.stop();
  });

  async function statusesOf(path: string, httpMethod: string, ...more: Header[]): Promise<number[]> {
    const headers: Header[] = [['content-type', 'application/json'], ...more];
    const request = {
      method: httpMethod,
      path,
      headers,
      ...(httpMethod === 'POST' ? { body: Buffer.from('{}') } : {}),
    };
    return [(await wire.http2(request).catch(asProtocolError)).status, (await wire.http1(request)).status];
  }

  test.each(NO_METHOD)('%s is no method, whoever asks', async (path) => {
    for (const headers of [[], [['authorization', `Bearer ${mesh.adminKey}`]]] as Header[][]) {
      for (const status of await statusesOf(path, 'POST', ...headers)) expect([400, 404, 405, 421]).toContain(status);
    }
  });

  test('a query changes neither what is called nor who may call it', async () => {
    for (const path of [`/${METHOD}`, `/${METHOD}?x=1`, `/${METHOD}?/${service}/Login`]) {
      expect([path, await statusesOf(path, 'POST')]).toEqual([path, [401, 401]]);
      const key: Header = ['x-api-key', mesh.adminKey];
      expect([path, await statusesOf(path, 'POST', key)]).toEqual([path, [200, 200]]);
    }
  });

  test.each(NO_ROUTE)('%s shows nobody anything', async (path) => {
    for (const status of await statusesOf(path, 'GET')) expect([400, 401, 404]).toContain(status);
  });

  test('other writings of a route ask for a credential too', async () => {
    for (const path of ['/v1/models', '/v1/models/', '/v1/%6dodels', '/v1/models?', '/v1/models/../models']) {
      expect([path, await statusesOf(path, 'GET')]).toEqual([path, [401, 401]]);
    }
  });

  test.each([`POST ${METHOD}`, `POST http://127.0.0.1/${METHOD}`, `POST /${METHOD}#`])(
    'over a bare socket, "%s" is refused and harms nothing',
    async (line) => {
      const socket = connect(Number(new URL(mesh.url).port), '127.0.0.1');
      socket.end(
        `${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
      );
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 (?:400|401|404|405|421) /);
      expect((await fetch(`${mesh.url}/healthz`)).status).toBe(200);
    },
  );
});

/** HTTP/2 itself knows no path without a slash, and ends the stream. */
function asProtocolError(error: Error): { status: number } {
  if (error.message.includes('NGHTTP2_PROTOCOL_ERROR')) return { status: 400 };
  throw error;
}
