import { afterEach, expect, test } from 'vitest';
import { Health } from '../../../gen/grpc/health/v1/health_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { recordSpans, type TestSpan } from '../observability/tracer.fixture.ts';
import { type Span, tracer } from '../observability/tracer.ts';
import { createMeshClient } from '../transport/client.ts';
import { BEARER, eventually, MESH_TOKEN, startTestListener } from '../transport/listener.fixture.ts';
import type { Listener } from '../transport/listener.ts';
import { createRemoteTransport, type RemoteTransport } from '../transport/remote-transport.ts';
import { traceCalls } from './trace-calls.ts';

const TOKENIZE = 'mesh.router.v1.RouterService/Tokenize';
const GENERATE = 'mesh.router.v1.RouterService/Generate';
const text = (value: string) => ({ prompt: { input: { case: 'text' as const, value } } });

let closings: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closings.toReversed()) await close();
  closings = [];
});

/** A listener, and a peer of it whose calls are traced. */
async function start(isSampled = true): Promise<{
  spans: readonly TestSpan[];
  listener: Listener;
  transport: RemoteTransport;
  request: Span;
  of: (name: string, kind: string) => TestSpan | undefined;
}> {
  const { spans, restore } = recordSpans(isSampled);
  const { listener } = await startTestListener();
  const transport = createRemoteTransport(listener.url, {
    meshToken: MESH_TOKEN,
    interceptors: traceCalls(listener.url),
  });
  closings.push(
    restore,
    () => listener.close(),
    () => transport.close(),
  );
  const request = tracer().begin('request', { kind: 'server', parent: undefined });
  const of = (name: string, kind: string) => spans.find((span) => span.name === name && span.kind === kind);
  return { spans, listener, transport, request, of };
}

test('a call is a span at either end, one below the other', async () => {
  const { listener, transport, request, of } = await start();
  const router = createMeshClient(RouterService, transport);
  await request.within(() => router.tokenize(text('x')));
  expect(of(TOKENIZE, 'client')).toMatchObject({
    parent: 'request',
    hasEnded: true,
    attributes: {
      'rpc.system.name': 'grpc',
      'rpc.method': TOKENIZE,
      'rpc.response.status_code': 'OK',
      'server.address': '127.0.0.1',
      'server.port': listener.port,
    },
  });
  await eventually(() => of(TOKENIZE, 'server')?.hasEnded === true, 'the span at the other end is over');
  expect(of(TOKENIZE, 'server')).toMatchObject({ parent: TOKENIZE, attributes: { 'rpc.response.status_code': 'OK' } });
});

test('what a peer does for nobody, and health, are no spans; what a caller asks is', async () => {
  const { spans, listener, transport, request, of } = await start();
  const router = createMeshClient(RouterService, transport);
  await router.tokenize(text('x'));
  request.end();
  // What outlives the request that began it is no part of it.
  await request.within(() => router.tokenize(text('x')));
  await createMeshClient(Health, createCaller(listener)).check({});
  expect(spans.map(({ name }) => name)).toEqual(['request']);
  await createMeshClient(RouterService, createCaller(listener)).tokenize(text('x'), { headers: BEARER });
  await eventually(() => of(TOKENIZE, 'server')?.hasEnded === true, 'the span is over');
  expect(of(TOKENIZE, 'server')).toMatchObject({ parent: undefined, attributes: { 'client.address': '127.0.0.1' } });
});

/** Somebody who proves nothing by himself. */
function createCaller(listener: Listener): RemoteTransport {
  const caller = createRemoteTransport(listener.url, { meshToken: undefined });
  closings.push(() => caller.close());
  return caller;
}

test('an error is a failure of whoever asked, and of whoever answered only where it is to blame', async () => {
  const { transport, request, of } = await start();
  const router = createMeshClient(RouterService, transport);
  const read = async () => {
    for await (const _ of router.generate({ model: 'm', ...text('fail') }));
  };
  await request.within(() => expect(read()).rejects.toThrow());
  await eventually(() => of(GENERATE, 'server')?.hasEnded === true, 'the call is over');
  expect(of(GENERATE, 'client')).toMatchObject({ failedAs: 'MODEL_NOT_FOUND', hasEnded: true });
  expect(of(GENERATE, 'server')).toMatchObject({
    failedAs: undefined,
    attributes: { 'rpc.response.status_code': 'NOT_FOUND' },
  });
  await request.within(() => expect(router.tokenize({ model: 'broken', ...text('x') })).rejects.toThrow());
  await eventually(() => of(TOKENIZE, 'server')?.hasEnded === true, 'the call is over');
  expect(of(TOKENIZE, 'server')).toMatchObject({ failedAs: 'INTERNAL' });
});

test('a call that is refused at the gate, or whose body cannot be read, ends its span', async () => {
  const { spans, listener, of } = await start();
  const router = createMeshClient(RouterService, createCaller(listener));
  await expect(router.tokenize(text('x'), { headers: { authorization: 'Bearer wrong' } })).rejects.toThrow();
  await eventually(() => of(TOKENIZE, 'server')?.hasEnded === true, 'the refused call is over');
  expect(of(TOKENIZE, 'server')?.attributes).toMatchObject({ 'rpc.response.status_code': 'UNAUTHENTICATED' });
  const headers = { ...BEARER, 'content-type': 'application/json' };
  const answer = await fetch(`${listener.url}/${TOKENIZE}`, { method: 'POST', headers, body: '{' });
  await answer.text();
  expect(answer.status).toBe(400);
  await eventually(() => spans.filter(({ hasEnded }) => hasEnded).length === 2, 'the unreadable call is over');
});

test('a stream that its reader leaves ends the spans at both ends', async () => {
  const { transport, request, of } = await start();
  const router = createMeshClient(RouterService, transport);
  await request.within(async () => {
    for await (const _ of router.generate({ model: 'm', ...text('wait') })) break;
  });
  await eventually(() => of(GENERATE, 'client')?.hasEnded === true, 'whoever asked is done');
  await eventually(() => of(GENERATE, 'server')?.hasEnded === true, 'whoever answered is done');
});

test('while nothing is recorded there is nothing in the way', async () => {
  expect(traceCalls('http://127.0.0.1:1')).toEqual([]);
  const { spans, transport, request } = await start(false);
  await request.within(() => createMeshClient(RouterService, transport).tokenize(text('x')));
  expect(spans).toEqual([]);
});
