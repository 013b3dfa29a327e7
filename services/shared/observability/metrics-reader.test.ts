import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import { PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { createMetrics } from './metrics.ts';
import { createMetricsHandler } from './metrics-handler.ts';
import { createMetricsReader, type MetricsAccess } from './metrics-reader.ts';

const SCOPES: Readonly<Record<string, Scope[]>> = { 'sk-admin': [Scope.ADMIN], 'sk-user': [Scope.GENERATE] };
let server: http.Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A port that tells metrics, as one without a facade does; asks it. */
async function port(
  access: MetricsAccess,
): Promise<(key?: string, path?: string, method?: string) => Promise<Response>> {
  const metrics = createMetrics({ version: '1', roles: ['auth'], mostUsers: 1 });
  metrics.addText(() => 'mesh_engine_x 1');
  const read = createMetricsReader({
    text: () => metrics.text(),
    access,
    authenticate: async (credential) => {
      const scopes = SCOPES[credential];
      if (!scopes) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
      return create(PrincipalSchema, { scopes });
    },
  });
  server = http.createServer(createMetricsHandler(read)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return (key, path = '/metrics', method = 'GET') =>
    fetch(url + path, { method, headers: key === undefined ? {} : { 'x-api-key': key } });
}

test('open metrics are told to anybody, those of engines after our own', async () => {
  const answer = await (await port('open'))('sk-wrong');
  expect([answer.status, answer.headers.get('content-type')]).toEqual([
    200,
    'text/plain; version=0.0.4; charset=utf-8',
  ]);
  const text = await answer.text();
  expect(text).toContain('mesh_info{version="1",roles="auth"} 1');
  expect(text).toContain('process_cpu_seconds_total');
  expect(text).toMatch(/\nmesh_engine_x 1\n$/);
});

test.each([
  [undefined, 401],
  ['sk-wrong', 401],
  ['sk-user', 403],
  ['sk-admin', 200],
])('metrics for admins: %s gets %i', async (key, status) => {
  expect((await (await port('admin'))(key)).status).toBe(status);
});

test('metrics that are off are not there, whoever asks', async () => {
  expect((await (await port('off'))('sk-admin')).status).toBe(404);
});

test('nothing else is answered', async () => {
  const ask = await port('open');
  expect((await ask(undefined, '/')).status).toBe(404);
  expect((await ask(undefined, '/metrics', 'POST')).headers.get('allow')).toBe('GET, HEAD');
  const head = await ask(undefined, '/metrics?x=1', 'HEAD');
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test('those who ask at once share one answer, those who ask later get a new one', async () => {
  const metrics = createMetrics({ version: '1', roles: [], mostUsers: 1 });
  let told = 0;
  metrics.addText(() => `told ${++told}`);
  await Promise.all([metrics.text(), metrics.text(), metrics.text()]);
  expect(await metrics.text()).toMatch(/told 2\n$/);
});
