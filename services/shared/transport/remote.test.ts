import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { fromConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { PEER_PRINCIPAL, principalKey } from '../interceptors/principal.ts';
import { createMeshClient } from './client.ts';
import { FlowControl } from './flow-control.ts';
import { forwardMethods } from './forward.ts';
import type { GenerationCall } from './generate.ts';
import {
  delta,
  eventually,
  MESH_TOKEN,
  silent,
  startTestListener,
  testAuthorizer,
  testRoutes,
} from './listener.fixture.ts';
import { createPeers } from './peers.ts';
import { remoteGenerate } from './remote-generate.ts';
import type { Role } from './roles.ts';
import type { Routes } from './routes.ts';

const { listener, seen } = await startTestListener();
const localSeen = { calls: [], contexts: [], events: 0 };
const local = new Map<Role, Routes[]>([['tasks', [testRoutes(localSeen)]]]);
const common = { meshToken: MESH_TOKEN, authorizer: testAuthorizer(), log: silent };
const peers = createPeers({ ...common, local, remote: new Map([['router', listener.url]]) });
const generate = remoteGenerate(peers.transport('router'), RouterService.method.generate);
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

/** Runs a generation and notes what its sink is told. */
function run(text: string, options: Partial<GenerationCall> = {}, onEvent = (_: GenerationEvent) => {}) {
  const told: string[] = [];
  const aborter = new AbortController();
  let error: MeshError | undefined;
  const call: GenerationCall = { requestId: 'req_1', signal: aborter.signal, flow: new FlowControl(), ...options };
  generate(create(GenerateRequestSchema, prompt(text)), call, {
    event(event) {
      told.push(event.event.case ?? '');
      onEvent(event);
    },
    end: () => told.push('end'),
    fail(failure) {
      error = failure;
      told.push('fail');
    },
  });
  return { told, aborter, call, error: () => error };
}

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

  test('leaving a stream cancels it at the peer', async () => {
    for await (const _ of createMeshClient(RouterService, peers.transport('router')).generate(prompt('flood'))) break;
    const call = seen.calls.at(-1);
    await eventually(() => call?.signal.aborted === true, 'the signal aborts', 200);
  });
});

describe('the seam over RPC', () => {
  test('events, then the end, once', async () => {
    const { told } = run('two');
    await eventually(() => told.includes('end'), 'the end');
    expect(told).toEqual(['delta', 'delta', 'usage', 'end']);
  });

  test('carries request id, credential, address and deadline', async () => {
    const { told } = run('two', { requestId: 'req_9', credential: 'good-key', clientIp: '10.1.2.3', timeoutMs: 5_000 });
    await eventually(() => told.includes('end'), 'the end');
    const call = seen.calls.at(-1);
    expect(call).toMatchObject({ requestId: 'req_9', credential: 'good-key', clientIp: '10.1.2.3' });
    expect(call?.timeoutMs).toBeLessThanOrEqual(5_000);
    expect(call?.timeoutMs).toBeGreaterThan(4_000);
  });

  test('a failure is the one of the peer', async () => {
    const { told, error } = run('fail');
    await eventually(() => told.length > 0, 'the failure');
    expect(told).toEqual(['fail']);
    expect(error()).toMatchObject({ reason: 'MODEL_NOT_FOUND', metadata: { model: 'x' } });
  });

  test('an abort fails at once with its reason and reaches the peer', async () => {
    const { told, aborter, error } = run('wait');
    await eventually(() => told.length === 1, 'the first event');
    const call = seen.calls.at(-1);
    aborter.abort(new MeshError('CLIENT_STALLED', 'stalled'));
    expect(told).toEqual(['delta', 'fail']);
    expect(error()?.reason).toBe('CLIENT_STALLED');
    await eventually(() => call?.signal.aborted === true, 'the signal aborts', 100);
  });

  test('an abort before the call makes none', async () => {
    const calls = seen.calls.length;
    const signal = AbortSignal.abort(new MeshError('CLIENT_GONE', 'gone'));
    expect(run('two', { signal }).told).toEqual(['fail']);
    expect(seen.calls.length).toBe(calls);
  });

  test('a paused reader pauses the peer, and nothing is lost when it goes on', async () => {
    const flow = new FlowControl();
    const { told, aborter } = run('flood', { flow });
    await eventually(() => told.length > 10, 'the stream flows');
    flow.pause();
    const call = seen.calls.at(-1);
    await eventually(() => call?.flow.paused === true, 'the peer pauses');
    const delivered = told.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(told.length).toBe(delivered);
    flow.resume();
    await eventually(() => told.length > delivered + 200, 'the stream flows again');
    aborter.abort(new MeshError('CLIENT_GONE', 'gone'));
  });

  test('a stream without its bill was cut off', async () => {
    const cut: Routes = (router) =>
      router.service(RouterService, {
        async *generate(request) {
          if (request.model === 'some') yield delta('one');
        },
      });
    const short = createPeers({ ...common, local: new Map([['router', [cut]]]), remote: new Map() });
    const reasons: string[] = [];
    for (const model of ['some', 'none']) {
      const failed = new Promise<MeshError>((resolve) => {
        const call = { requestId: 'r', signal: new AbortController().signal, flow: new FlowControl() };
        const sink = { event: () => {}, end: () => resolve(new MeshError('INTERNAL', 'ended')), fail: resolve };
        const over = remoteGenerate(short.transport('router'), RouterService.method.generate);
        over(create(GenerateRequestSchema, { model }), call, sink);
      });
      reasons.push((await failed).reason);
    }
    expect(reasons).toEqual(['ENGINE_LOST', 'PEER_UNAVAILABLE']);
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
    await eventually(() => last?.signal.aborted === true, 'the abort passes the front', 500);
  });
});
