import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { expect, onTestFinished, test } from 'vitest';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import type { MeshError } from '../errors/mesh-error.ts';
import { type Access, methodName } from '../interceptors/access.ts';
import { createAuthorizer } from '../interceptors/authorize.ts';
import type { NodeResponse } from './exchange.ts';
import { FlowControl } from './flow-control.ts';
import { CLIENT_LIMITS } from './limits.ts';
import { BEARER, eventually, MESH_TOKEN, startTestListener } from './listener.fixture.ts';
import type { Routes } from './routes.ts';
import { createTrunkClient } from './trunk/trunk-client.ts';

const prompt = (text: string) => ({ prompt: { input: { case: 'text' as const, value: text } } });

test('a drain refuses callers, serves peers and health, and waits for what runs', async () => {
  const { listener, health } = await startTestListener();
  health.set('', true);
  const transport = createGrpcTransport({ baseUrl: listener.url, ...CLIENT_LIMITS });
  const router = createClient(RouterService, transport);
  const aborter = new AbortController();
  const running = router.generate(prompt('wait'), { headers: BEARER, signal: aborter.signal })[Symbol.asyncIterator]();
  await running.next();
  // A watcher of health is no work: it would never end.
  const watching = createClient(Health, transport).watch({})[Symbol.asyncIterator]();
  await watching.next();

  expect(await listener.drain(100)).toBe(false);
  expect(listener.draining).toBe(true);
  const refused = router.tokenize(prompt('x'), { headers: BEARER });
  const error = await refused.then(
    () => undefined,
    (reason: unknown) => fromConnectError(reason),
  );
  expect(error).toMatchObject({ reason: 'SHUTTING_DOWN', retryAfterMs: 1000 });
  const peer = await router.tokenize(prompt('x'), { headers: { 'mesh-token': MESH_TOKEN } });
  expect(peer.tokenIds).toEqual([1, 2]);
  expect((await createClient(Health, transport).check({})).status).toBe(1);
  const plain = await fetch(`${listener.url}/x`);
  expect(plain.headers.get('connection')).toBe('close');

  const drained = listener.drain(5_000);
  aborter.abort();
  expect(await drained).toBe(true);
  await listener.close();
  await expect(fetch(listener.url)).rejects.toThrow();
});

test('a drain does not wait for the rest of a message that was refused', async () => {
  const { listener } = await startTestListener();
  const session = http2.connect(listener.url);
  const path = '/mesh.router.v1.RouterService/Tokenize';
  const call = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', ...BEARER });
  // Says that it is larger than any may be, and never comes.
  call.write(Buffer.from([0, 0x7f, 0, 0, 0]));
  const [{ 'grpc-status': code }] = await once(call.resume(), 'trailers');
  expect(code).toBe('8');
  const beganAtMs = performance.now();
  expect(await listener.drain(20_000)).toBe(true);
  expect(performance.now() - beganAtMs).toBeLessThan(10_000);
  session.destroy();
  await listener.close();
});

test('close tells running streams why and leaves no connection', async () => {
  const { listener, seen } = await startTestListener();
  const transport = createGrpcTransport({ baseUrl: listener.url, ...CLIENT_LIMITS });
  const stream = createClient(RouterService, transport).generate(prompt('wait'), { headers: BEARER });
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  const ended = iterator.next().then(
    () => undefined,
    (reason: unknown) => fromConnectError(reason),
  );
  await listener.close();
  expect(await ended).toMatchObject({ reason: 'SHUTTING_DOWN' });
  expect(seen.calls[0]?.signal.reason).toMatchObject({ reason: 'SHUTTING_DOWN' });
});

test('a watch is no work: a drain does not wait for it, and it goes on until the port closes', async () => {
  const watching: Routes = (router) =>
    router.service(InferenceService, {
      async *watchEngines(_request, { signal }) {
        yield { snapshot: true };
        await once(signal, 'abort');
        throw signal.reason;
      },
    });
  const entries = InferenceService.methods.map((method) => [methodName(method), { kind: 'open' }] as const);
  const authorizer = createAuthorizer({
    table: new Map<string, Access>(entries),
    authenticate: () => Promise.reject(new Error('open')),
    meshToken: MESH_TOKEN,
  });
  const { listener } = await startTestListener({ routes: [watching], authorizer });
  const transport = createGrpcTransport({ baseUrl: listener.url, ...CLIENT_LIMITS });
  const stream = createClient(InferenceService, transport).watchEngines({})[Symbol.asyncIterator]();
  await stream.next();
  const ended = stream.next().then(
    () => undefined,
    (reason: unknown) => fromConnectError(reason).reason,
  );
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  expect(await listener.drain(60_000)).toBe(true);
  await listener.endWork();
  expect(isOver).toBe(false);
  await listener.close();
  expect(await ended).toBe('SHUTTING_DOWN');
});

test('work that has had its time is told why it ends; peers and the port go on', async () => {
  const { listener, seen } = await startTestListener();
  const transport = createGrpcTransport({ baseUrl: listener.url, ...CLIENT_LIMITS });
  const router = createClient(RouterService, transport);
  const running = router.generate(prompt('wait'), { headers: BEARER })[Symbol.asyncIterator]();
  await running.next();
  expect(await listener.drain(1)).toBe(false);
  await listener.endWork();
  await expect(running.next().catch((reason: unknown) => fromConnectError(reason))).resolves.toMatchObject({
    reason: 'SHUTTING_DOWN',
  });
  expect(seen.calls[0]?.signal.reason).toMatchObject({ reason: 'SHUTTING_DOWN' });
  const peer = await router.tokenize(prompt('x'), { headers: { 'mesh-token': MESH_TOKEN } });
  expect(peer.tokenIds).toEqual([1, 2]);
  await listener.close();
});

test('who takes leave still does what it is asked, and says that the next request belongs on another connection', async () => {
  const { listener } = await startTestListener({ fallback: (_request, response) => void response.end('done') });
  const before = await fetch(`${listener.url}/x`);
  expect(before.headers.get('connection')).not.toBe('close');
  const session = http2.connect(listener.url);
  onTestFinished(() => session.destroy());
  const goneAway = once(session, 'goaway');
  // It is known to the listener when it has been answered.
  const known = session.request({ ':path': '/x' });
  known.resume();
  await once(known, 'close');
  const left = listener.leave(20);
  expect([listener.leaving, listener.draining]).toEqual([true, false]);
  const plain = await fetch(`${listener.url}/x`);
  expect([plain.headers.get('connection'), await plain.text()]).toEqual(['close', 'done']);
  expect((await goneAway)[0]).toBe(http2.constants.NGHTTP2_NO_ERROR);
  const router = createClient(RouterService, createGrpcTransport({ baseUrl: listener.url, ...CLIENT_LIMITS }));
  expect((await router.tokenize(prompt('x'), { headers: BEARER })).tokenIds).toEqual([1, 2]);
  await left;
  await listener.close();
});

test('a connection whose answer began before anybody could say where the next belongs gets one more', async () => {
  let answer: NodeResponse | undefined;
  const refused: boolean[] = [];
  const { listener } = await startTestListener({
    fallback(request, response) {
      refused.push(listener.refuses(request));
      if (request.url === '/next') return void response.end('next');
      answer = response;
      (response as http.ServerResponse).write('begun');
    },
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const get = async (path: string): Promise<http.IncomingMessage> => {
    const [message] = await once(http.get(`${listener.url}${path}`, { agent }), 'response');
    return message;
  };
  const first = await get('/first');
  const drained = listener.drain(60_000);
  let isDrained = false;
  drained.then(() => {
    isDrained = true;
  });
  answer?.end();
  await text(first);
  // A moment in which nothing runs.
  await delay(200);
  expect(isDrained).toBe(false);
  const next = await get('/next');
  expect(next.headers.connection).toBe('close');
  await text(next);
  await drained;
  await text(await get('/next'));
  expect(refused).toEqual([false, false, true]);
  await listener.close();
});

test('peers stay through a drain of a port of theirs, for they may still settle; they are told to go when it closes', async () => {
  const watching: Routes = (router) =>
    router.service(InferenceService, {
      async *watchEngines(_request, { signal }) {
        yield { snapshot: true };
        await once(signal, 'abort');
        throw signal.reason;
      },
      listEngines: () => ({}),
    });
  const peersOnly = InferenceService.methods.map(
    (method) => [methodName(method), { kind: 'peer', peers: ['router'] }] as const,
  );
  const authorizer = createAuthorizer({
    table: new Map<string, Access>(peersOnly),
    authenticate: () => Promise.reject(new Error('nobody')),
    meshToken: MESH_TOKEN,
  });
  const { listener } = await startTestListener({ routes: [watching], authorizer, isForPeers: true });
  const sessions = new Http2SessionManager(listener.url);
  onTestFinished(() => sessions.abort());
  const transport = createGrpcTransport({ baseUrl: listener.url, sessionManager: sessions, ...CLIENT_LIMITS });
  const peer = createClient(InferenceService, transport);
  const headers = { 'mesh-token': MESH_TOKEN };
  const watch = peer.watchEngines({}, { headers })[Symbol.asyncIterator]();
  await watch.next();
  expect(await listener.drain(60_000)).toBe(true);
  expect((await peer.listEngines({}, { headers })).engines).toEqual([]);
  expect(await listener.peersGone(50)).toBe(false);
  const closed = listener.close();
  await expect(watch.next().catch((reason: unknown) => fromConnectError(reason))).resolves.toMatchObject({
    reason: 'SHUTTING_DOWN',
  });
  await closed;
});

test('a trunk that carries something is work, and goes on while its port drains', async () => {
  const { listener, seen } = await startTestListener({ isForPeers: true });
  const trunk = createTrunkClient({ url: listener.url, method: RouterService.method.attach, meshToken: MESH_TOKEN });
  onTestFinished(() => trunk.close());
  const failures: MeshError[] = [];
  const sink = { event: () => {}, end: () => {}, fail: (error: MeshError) => failures.push(error) };
  const aborter = new AbortController();
  const request = create(GenerateRequestSchema, prompt('wait'));
  trunk.generate(request, { requestId: 'r', signal: aborter.signal, flow: new FlowControl() }, sink);
  await eventually(() => seen.events > 0, 'it runs');
  const drained = listener.drain(60_000);
  // Longer than peers have to say that they have heard of the drain.
  expect(await Promise.race([drained, delay(2_500, 'goes on')])).toBe('goes on');
  expect(failures).toEqual([]);
  aborter.abort();
  expect(await drained).toBe(true);
  await listener.close();
});
