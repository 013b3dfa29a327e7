import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { createHandlerContext, createRouterTransport } from '@connectrpc/connect';
import pino from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import { type Engine, EngineState, EngineStateSchema, FailureCause } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  InferenceService,
  WatchEnginesRequestSchema,
  type WatchEnginesResponse,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { fakeAdapter } from '../../../test/engines/fake-adapter.ts';
import { RANDOM_MODEL } from '../../../test/fixtures/embedded-engine.ts';
import { fromConnectError } from '../../shared/errors/connect-error.ts';
import { createErrorInterceptor, createErrorMapper } from '../../shared/interceptors/errors.ts';
import { PEER_PRINCIPAL, principalKey } from '../../shared/interceptors/principal.ts';
import { createMeshClient } from '../../shared/transport/client.ts';
import { inferenceConfigSchema } from '../config.ts';
import { createInferenceContext, type InferenceContext } from '../context.ts';
import { modelEntrySchema } from '../engines/model-entry.ts';
import { EngineStatus } from '../supervisor/engine-status.ts';
import { watchEngines } from './watch-engines.ts';

vi.setConfig({ testTimeout: 60_000 });

const log = pino({ level: 'silent' });
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Watched = Pick<InferenceContext, 'engines' | 'watch'>;

/** Engines whose states a test writes, and how many watch them. */
function node(...names: string[]) {
  const listeners = new Set<(engine: Engine) => void>();
  const statuses = names.map((name) => {
    const entry = modelEntrySchema.parse({ name, engine: 'llama.cpp', model: 'x.gguf' });
    const tell = (engine: Engine) => {
      for (const listener of listeners) listener(engine);
    };
    return new EngineStatus(entry, fakeAdapter(), Date.now, tell);
  });
  const context: Watched = {
    engines: () => statuses.map(({ engine }) => engine),
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return { context, statuses, watchers: () => listeners.size };
}

/** A reader of the handler itself, with nothing in between that would read ahead. */
function read(context: Watched) {
  const stop = new AbortController();
  const call = createHandlerContext({
    service: InferenceService,
    method: InferenceService.method.watchEngines,
    protocolName: 'grpc',
    requestMethod: 'POST',
    url: 'http://localhost/',
    requestSignal: stop.signal,
  });
  call.values.set(principalKey, PEER_PRINCIPAL);
  const stream = watchEngines(context)(create(WatchEnginesRequestSchema), call);
  const reader = (stream as AsyncIterable<WatchEnginesResponse>)[Symbol.asyncIterator]();
  closers.push(() => stop.abort());
  return { next: async () => (await reader.next()).value as WatchEnginesResponse, reader, stop };
}

const stateOf = ({ engines: [engine] }: WatchEnginesResponse): string =>
  EngineStateSchema.value[engine?.state ?? 0]?.localName ?? '';

const FAILURE = { cause: FailureCause.HUNG, evidence: ['x'], hint: 'x', attempts: 1 };

test('every state of one turn of the event loop is seen', async () => {
  const { context, statuses } = node('chat');
  const [status] = statuses as [EngineStatus];
  const { next } = read(context);
  expect(await next()).toMatchObject({ snapshot: true, engines: [{ state: EngineState.PENDING }] });
  const life = [
    EngineState.PLACED,
    EngineState.STARTING,
    EngineState.READY,
    EngineState.UNHEALTHY,
    EngineState.BACKOFF,
    EngineState.PLACED,
    EngineState.STARTING,
    EngineState.READY,
    EngineState.DRAINING,
    EngineState.STOPPING,
    EngineState.STOPPED,
  ];
  for (const state of life) status.become(state, {}, FAILURE);
  for (const state of life) {
    const message = await next();
    expect(message.snapshot).toBe(false);
    expect(message.engines.map((engine) => engine.state)).toEqual([state]);
  }
});

test('changes of several engines come in the order in which they happened', async () => {
  const { context, statuses } = node('a', 'b');
  const [a, b] = statuses as [EngineStatus, EngineStatus];
  const { next } = read(context);
  await next();
  a.become(EngineState.PLACED);
  b.become(EngineState.PLACED);
  b.become(EngineState.STARTING);
  a.become(EngineState.STARTING);
  const seen: string[] = [];
  for (let index = 0; index < 4; index++) {
    const message = await next();
    seen.push(`${message.engines[0]?.name} ${stateOf(message)}`);
  }
  expect(seen).toEqual(['a PLACED', 'b PLACED', 'b STARTING', 'a STARTING']);
});

test('what a reader has got never changes', async () => {
  const { context, statuses } = node('chat');
  const [status] = statuses as [EngineStatus];
  const { next } = read(context);
  const got = [await next()];
  const devices = [0];
  status.become(EngineState.PLACED, { devices });
  status.become(EngineState.STARTING);
  status.become(EngineState.UNHEALTHY, {}, FAILURE);
  for (let index = 0; index < 3; index++) got.push(await next());
  const copies = structuredClone(got);
  status.load.add({ paused: false, begun: true });
  status.learn({ percent: 50, processId: 7 });
  status.become(EngineState.BACKOFF, { devices: [] }, { ...FAILURE, attempts: 2 });
  expect(got).toEqual(copies);
});

test('a reader that stalls holds a bounded backlog and then gets a snapshot', async () => {
  const { context, statuses } = node('a', 'b');
  const [a, b] = statuses as [EngineStatus, EngineStatus];
  const { next } = read(context);
  await next();
  for (const status of [a, b])
    for (const state of [EngineState.PLACED, EngineState.STARTING, EngineState.READY]) status.become(state);
  // Nothing is read meanwhile.
  for (let index = 0; index < 5_000; index++) {
    a.become(EngineState.UNHEALTHY, {}, FAILURE);
    a.become(EngineState.READY);
  }
  a.become(EngineState.STOPPING);
  expect(await next()).toMatchObject({
    snapshot: true,
    engines: [
      { name: 'a', state: EngineState.STOPPING },
      { name: 'b', state: EngineState.READY },
    ],
  });
  b.become(EngineState.STOPPING);
  expect(await next()).toMatchObject({ snapshot: false, engines: [{ name: 'b', state: EngineState.STOPPING }] });
});

test.each(['while it waits', 'while it reads'])('a reader that leaves %s is forgotten', async (when) => {
  const { context, watchers } = node('chat');
  const { next, reader, stop } = read(context);
  await next();
  expect(watchers()).toBe(1);
  // The second read waits for a change; without it the handler stands in its yield.
  const waiting = when === 'while it waits' ? reader.next() : undefined;
  const left = expect(waiting ?? Promise.reject(new Error('left'))).rejects.toThrow('left');
  stop.abort(new Error('left'));
  await left;
  expect(watchers()).toBe(0);
});

test('a call that is aborted before it reads says why and is forgotten', async () => {
  const { context, watchers } = node('chat');
  const { reader, stop } = read(context);
  stop.abort(new Error('the port closes'));
  await expect(reader.next()).rejects.toThrow('the port closes');
  expect(watchers()).toBe(0);
});

test('what happened before the call is aborted is still told, in case that it is the port that closes', async () => {
  const { context, statuses } = node('chat');
  const [status] = statuses as [EngineStatus];
  const { next, reader, stop } = read(context);
  await next();
  status.become(EngineState.PLACED);
  status.become(EngineState.STARTING);
  stop.abort(new Error('the port closes'));
  expect([stateOf(await next()), stateOf(await next())]).toEqual(['PLACED', 'STARTING']);
  await expect(reader.next()).rejects.toThrow('the port closes');
});

test('a process of ours is seen from its place to its end, after which the stream says why it ends', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mesh-test-'));
  const models = [{ name: 'own', engine: 'llama.cpp', model: RANDOM_MODEL }];
  const context = createInferenceContext(inferenceConfigSchema.parse({ node: 'here', devices: 'none', models }), {
    routers: [],
    dataDir,
    nodePath: process.execPath,
    environmentVariable: (name) => process.env[name],
    log,
    now: Date.now,
  });
  closers.push(() => context.close().then(() => rmSync(dataDir, { recursive: true })));
  const transport = createRouterTransport(
    (router) => router.service(InferenceService, { watchEngines: watchEngines(context) }),
    {
      router: {
        interceptors: [
          createErrorInterceptor(createErrorMapper(log)),
          (forward) => (request) => {
            request.contextValues.set(principalKey, PEER_PRINCIPAL);
            return forward(request);
          },
        ],
      },
    },
  );
  const states: string[] = [];
  const watching = (async () => {
    for await (const message of createMeshClient(InferenceService, transport).watchEngines({})) {
      if (stateOf(message) !== states.at(-1)) states.push(stateOf(message));
    }
  })().catch((error: unknown) => fromConnectError(error).reason);
  await expect.poll(() => states).toEqual(['PENDING']);
  context.start();
  await expect.poll(() => states.at(-1)).toBe('READY');
  await context.close();
  expect(await watching).toBe('SHUTTING_DOWN');
  expect(states).toEqual(['PENDING', 'PLACED', 'STARTING', 'READY', 'STOPPING', 'STOPPED']);
});
