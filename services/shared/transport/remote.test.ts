import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { stretched } from '../../../test/harness/patience.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { createMeshClient } from './client.ts';
import { forwardMethods } from './forward.ts';
import { eventually, MESH_TOKEN, silent, startTestListener, testAuthorizer, testRoutes } from './listener.fixture.ts';
import { createPeers } from './peers.ts';
import type { Role } from './roles.ts';
import type { Routes } from './routes.ts';
import { runOver } from './trunk/trunk.fixture.ts';

const { listener, seen } = await startTestListener();
const localSeen = { calls: [], contexts: [], events: 0 };
const local = new Map<Role, Routes[]>([['tasks', [testRoutes(localSeen)]]]);
const common = { meshToken: MESH_TOKEN, authorizer: testAuthorizer(), log: silent };
const peers = createPeers({ ...common, local, remote: new Map([['router', listener.url]]) });
const prompt = (text: string) => ({ prompt: { input: { case: 'text' as const, value: text } } });
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => fromConnectError(error),
  );

afterAll(async () => {
  peers.close();
  await listener.close();
});

describe('peers', () => {
  test('a role that is here is called in process, another over the network', async () => {
    await peers.client('tasks', RouterService).tokenize(prompt('x'));
    expect(localSeen.contexts.at(-1)).toMatchObject({ protocolName: 'local' });
    await peers.client('router', RouterService).tokenize(prompt('x'));
    expect(seen.contexts.at(-1)?.protocolName).toBe('grpc');
    expect(seen.contexts.at(-1)?.values.get(principalKey)).toBe(PEER_PRINCIPAL);
  });

  test('a role may come up after its client was made; one that is nowhere is named', async () => {
    const client = peers.client('auth', RouterService);
    expect(await reasonOf(client.tokenize(prompt('x')))).toMatchObject({
      reason: 'PEER_UNAVAILABLE',
      message: expect.stringContaining('MESH_PEER_AUTH'),
    });
    local.set('auth', [testRoutes(localSeen)]);
    expect((await client.tokenize(prompt('x'))).tokenIds).toEqual([1, 2]);
  });

  test('a peer that does not answer is PEER_UNAVAILABLE', async () => {
    const dead = createPeers({ ...common, local, remote: new Map([['quota', 'http://127.0.0.1:1']]) });
    expect(await reasonOf(dead.client('quota', RouterService).tokenize(prompt('x')))).toMatchObject({
      reason: 'PEER_UNAVAILABLE',
    });
    dead.close();
  });

  test('the seam to a router that is nowhere fails and says where it is looked for', () => {
    const none = createPeers({ ...common, local, remote: new Map() });
    const { told, error } = runOver(none.routerGenerate, 'two');
    expect(told).toEqual(['fail']);
    expect(error()?.message).toContain('MESH_PEER_ROUTER');
  });

  test('leaving a stream cancels it at the peer', async () => {
    for await (const _ of createMeshClient(RouterService, peers.transport('router')).generate(prompt('flood'))) break;
    const call = seen.calls.at(-1);
    await eventually(() => call?.signal.aborted === true, 'the signal aborts', stretched(200));
  });
});

describe('forwarding', () => {
  const methods = [RouterService.method.tokenize, RouterService.method.generate, RouterService.method.embed];
  let front: Awaited<ReturnType<typeof startTestListener>>;
  beforeAll(async () => {
    front = await startTestListener({
      routes: [(router) => forwardMethods(router, methods, () => peers.transport('router'))],
    });
  });
  afterAll(() => front.listener.close());

  const call = (method: string, body: object, headers: Record<string, string>) =>
    fetch(`${front.listener.url}/mesh.router.v1.RouterService/${method}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    });

  test('the caller is authorized again where the method lives, under its address and request id', async () => {
    const headers = { 'x-api-key': 'good-key', 'x-request-id': 'mine', 'x-forwarded-for': '10.9.8.7' };
    const response = await call('Tokenize', { prompt: { text: 'x' } }, headers);
    expect(await response.json()).toMatchObject({ tokenIds: [1, 2] });
    const context = seen.contexts.at(-1);
    expect(context?.values.get(principalKey)?.keyId).toBe('k1');
    expect(context?.values.get(clientIpKey)).toBe('10.9.8.7');
    expect(context?.requestHeader.get('x-request-id')).toBe('mine');
  });

  test('errors come back unchanged', async () => {
    const headers = { 'x-api-key': 'good-key' };
    const over = await call('Tokenize', { prompt: { text: 'x' }, model: 'broken' }, headers);
    expect(over.status).toBe(500);
    const { details } = (await over.json()) as { details: { type: string; value: string }[] };
    expect(details.map(({ type }) => type)).toEqual(['google.rpc.ErrorInfo']);
    expect(Buffer.from(details[0]?.value ?? '', 'base64').toString()).toContain('INTERNAL');
    expect((await call('Tokenize', {}, {})).status).toBe(401);
  });

  test('an anonymous caller does not become a peer by being forwarded', async () => {
    const open = testAuthorizer();
    // A front that lets everyone pass: only the far side is left to refuse.
    const authorizer = { ...open, gate: async () => {} };
    const careless = await startTestListener({
      authorizer,
      routes: [(router) => forwardMethods(router, methods, () => peers.transport('router'))],
    });
    const url = `${careless.listener.url}/mesh.router.v1.RouterService/Tokenize`;
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', body: '{"prompt":{"text":"x"}}', headers });
    expect(response.status).toBe(401);
    await careless.listener.close();
  });

  test('streams are forwarded, and their end', async () => {
    const client = createMeshClient(
      RouterService,
      createPeers({ ...common, local: new Map(), remote: new Map([['router', front.listener.url]]) }).transport(
        'router',
      ),
    );
    const cases: unknown[] = [];
    for await (const { event } of client.generate(prompt('two'))) cases.push(event.case);
    expect(cases).toEqual(['delta', 'delta', 'usage']);
    for await (const _ of client.generate(prompt('wait'))) break;
    const last = seen.calls.at(-1);
    await eventually(() => last?.signal.aborted === true, 'the abort passes the front', stretched(500));
  });
});
