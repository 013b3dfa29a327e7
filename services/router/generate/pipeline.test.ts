import { create } from '@bufbuild/protobuf';
import { createClient, createRouterTransport } from '@connectrpc/connect';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { type GenerationEvent, GenerationEventSchema } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { QuotaService, type ReserveRequest } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegisterRequestSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { toConnectError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import { Registry } from '../fleet/registry.ts';
import { queueConfigSchema } from '../queue/config.ts';
import { Places } from '../queue/places.ts';
import { Chooser } from '../select/chooser.ts';
import { EngineLoads } from '../select/engine-loads.ts';
import { Booking } from './booking.ts';
import { Deadlines } from './deadlines.ts';
import { engineSide } from './front-door.fixture.ts';
import { type AuthenticateCall, Pipeline } from './pipeline.ts';
import { Reports } from './reports.ts';
import { Settlement } from './settle.ts';

const principal = create(PrincipalSchema, { keyId: 'k', tier: 'standard', scopes: [Scope.GENERATE] });
const gone = new MeshError('CLIENT_GONE', 'gone');

/** What quota was told, in order: "reserve", "release", "settle 2+5". */
let told: string[];
/** The reservation, as quota was asked for it. */
let reserved: ReserveRequest | undefined;
/** Whom the caller's process vouches for. */
let onBehalfOf: GenerationCall['onBehalfOf'];
/** What it was asked with who calls. */
let asked: Parameters<AuthenticateCall>[0][];
/** What the caller got: event cases, then "end" or "fail REASON". */
let got: string[];
/** The engine's side of the generation: set once it was dispatched. */
let engine: { sink: GenerationSink; call: GenerationCall } | undefined;
let refuse: MeshError | undefined;
/** What happens once quota has made a reservation, before it answers. */
let onReserve: () => void;
let settlementFailures: number;
/** How often quota does not know the reservation that is given back. */
let unknownReleases: number;
let controller: AbortController;
/** What happens while it is found out who calls. */
let onAuthenticate: (pipeline: Pipeline) => void;
let loads: EngineLoads;
let registry: Registry;
let settlement: Settlement;
let reports: Reports;

const event = (init: GenerationEvent['event']): GenerationEvent => create(GenerationEventSchema, { event: init });
const started = () =>
  event({
    case: 'started',
    value: { $typeName: 'mesh.generation.v1.Started', requestId: '', model: '', modelId: 'm', engine: '', limits: [] },
  });
const delta = (completionTokens: number) =>
  create(GenerationEventSchema, { event: { case: 'delta', value: { completionTokens, text: 'x', promptTokens: 2 } } });
const usage = () =>
  create(GenerationEventSchema, { event: { case: 'usage', value: { promptTokens: 2, completionTokens: 9 } } });

beforeEach(() => {
  told = [];
  reserved = undefined;
  onBehalfOf = undefined;
  asked = [];
  got = [];
  engine = undefined;
  refuse = undefined;
  onReserve = () => {};
  onAuthenticate = () => {};
  settlementFailures = 0;
  unknownReleases = 0;
  controller = new AbortController();
  loads = new EngineLoads();
  registry = new Registry({ aliases: {} }, loads);
  report(EngineState.READY);
  const quota = createRouterTransport((router) =>
    router.service(QuotaService, {
      reserve: (request) => {
        reserved = request;
        const { maxCompletionTokens } = request;
        if (refuse) throw toConnectError(refuse);
        told.push('reserve');
        onReserve();
        return { coveredCompletionTokens: maxCompletionTokens };
      },
      release: () => {
        if (unknownReleases-- > 0) throw toConnectError(new MeshError('RESERVATION_NOT_FOUND', 'not yet'));
        told.push('release');
        return {};
      },
      settle: ({ promptTokens, completionTokens }) => {
        if (settlementFailures-- > 0) throw toConnectError(new MeshError('STORE_UNAVAILABLE', 'away'));
        told.push(`settle ${promptTokens}+${completionTokens}`);
        return {};
      },
    }),
  );
  const client = createClient(QuotaService, quota);
  const log = pino({ level: 'silent' });
  settlement = new Settlement(client, log);
  reports = new Reports(client, log);
});

function report(state: EngineState, unloaded = false): void {
  const engines = [create(EngineSchema, { name: 'chat', modelId: 'm', state, unloaded })];
  registry.report(create(RegisterRequestSchema, { node: 'n', epoch: 1n, engines }), { epochMs: 0, monotonicMs: 0 });
}

/** Starts a generation through a pipeline and waits until it is with the engine or over. */
async function generate(
  init: {
    model?: string;
    engine?: string;
    continued?: string;
    prompts?: number;
    limits?: { totalMs: number };
    broken?: true;
  } = {},
): Promise<Pipeline> {
  const chooser = new Chooser({ loads, affinityBound: 2 });
  const booking = new Booking({
    settlement,
    registry,
    chooser,
    places: new Places({ registry, chooser, queue: queueConfigSchema.parse({}) }),
    countPrompt: async () => undefined,
  });
  const pipeline: Pipeline = new Pipeline({
    authenticate: async (call) => {
      asked.push(call);
      onAuthenticate(pipeline);
      return principal;
    },
    booking,
    reports,
    registry,
    deadlines: new Deadlines({ totalMs: 60_000, firstTokenMs: 60_000, betweenTokensMs: 60_000, ...init.limits }),
    observers: [],
    engines: engineSide(
      () => (_request, call, sink) => {
        if (init.broken) throw new Error('a bug');
        engine = { call, sink };
        call.signal.addEventListener('abort', () => sink.fail(call.signal.reason));
      },
      booking,
    ),
    now: Date.now,
  });
  const who = onBehalfOf ? { onBehalfOf, clientIp: '198.51.100.7' } : { credential: 'secret' };
  const call = { requestId: 'r', signal: controller.signal, flow: new FlowControl(), ...who };
  const sink: GenerationSink = {
    event: ({ event }) => got.push(event.case ?? ''),
    end: () => got.push('end'),
    fail: (error) => got.push(`fail ${error.reason}`),
  };
  const { model = 'chat', engine: pinned = '', continued, prompts = 1 } = init;
  const continuation = continued === undefined ? {} : { continuation: { text: continued } };
  const morePrompts = Array.from({ length: prompts - 1 }, () => ({}));
  const request = create(GenerateRequestSchema, { model, engine: pinned, morePrompts, ...continuation });
  pipeline.generate(request, call, sink);
  await expect.poll(() => engine !== undefined || got.length > 0).toBe(true);
  return pipeline;
}

const atEngine = () => engine ?? expect.fail('not dispatched');

async function expectTold(...expected: string[]): Promise<void> {
  await settlement.idle();
  expect(told).toEqual(expected);
  expect(loads.of('n/chat').requests).toBe(0);
}

test('a whole generation is charged once, by its bill', async () => {
  await generate();
  const { sink } = atEngine();
  sink.event(started());
  sink.event(delta(5));
  expect(loads.of('n/chat').requests).toBe(1);
  sink.event(usage());
  sink.end();
  expect(got).toEqual(['started', 'delta', 'usage', 'end']);
  await expectTold('reserve', 'settle 2+9');
});

test('a caller whom a peer vouches for runs with what it may do now; only such a request was counted before', async () => {
  await generate();
  expect(reserved).toMatchObject({ principal: { keyId: 'k' }, requestAlreadyCounted: false });
  engine = undefined;
  const claimed = create(PrincipalSchema, { keyId: 'k', tier: 'claimed' });
  onBehalfOf = { principal: claimed, requestAlreadyCounted: true };
  await generate();
  expect(asked.at(-1)).toMatchObject({ onBehalfOf: { principal: claimed }, clientIp: '198.51.100.7' });
  const now = { keyId: 'k', tier: 'standard', scopes: [Scope.GENERATE] };
  expect(reserved).toMatchObject({ principal: now, requestAlreadyCounted: true, clientIp: '198.51.100.7' });
  expect(atEngine().call).not.toHaveProperty('onBehalfOf');
  onBehalfOf = { ...onBehalfOf, requestAlreadyCounted: false };
  engine = undefined;
  await generate();
  expect(reserved).toMatchObject({ requestAlreadyCounted: false });
});

test('whatever an engine says after its end reaches nobody and costs nothing', async () => {
  await generate();
  const { sink } = atEngine();
  sink.event(started());
  sink.event(usage());
  sink.end();
  sink.event(delta(50));
  sink.end();
  sink.fail(gone);
  controller.abort(gone);
  expect(got).toEqual(['started', 'usage', 'end']);
  await expectTold('reserve', 'settle 2+9');
});

test('a stream that breaks is charged what was delivered', async () => {
  await generate();
  const { sink } = atEngine();
  sink.event(started());
  sink.event(delta(5));
  sink.fail(new MeshError('ENGINE_LOST', 'lost'));
  expect(got.at(-1)).toBe('fail ENGINE_LOST');
  await expectTold('reserve', 'settle 2+5');
});

test('a caller who leaves in mid-stream is charged what was delivered', async () => {
  await generate();
  atEngine().sink.event(started());
  atEngine().sink.event(delta(3));
  controller.abort(gone);
  expect(atEngine().call.signal.aborted).toBe(true);
  expect(got.at(-1)).toBe('fail CLIENT_GONE');
  await expectTold('reserve', 'settle 2+3');
});

test('a caller who leaves before the engine answered still made a request', async () => {
  await generate();
  controller.abort(gone);
  await expectTold('reserve', 'settle 0+0');
});

test('a caller who left before anything was reserved costs nothing', async () => {
  controller.abort(gone);
  await generate();
  expect(got).toEqual(['fail CLIENT_GONE']);
  await expectTold();
});

test('a caller who left while quota was asked costs nothing', async () => {
  onReserve = () => controller.abort(gone);
  await generate();
  expect(engine).toBeUndefined();
  expect(got).toEqual(['fail CLIENT_GONE']);
  await expectTold('reserve', 'release');
});

test('an engine that refuses the request costs nothing', async () => {
  await generate();
  atEngine().sink.fail(new MeshError('ENGINE_BUSY', 'busy'));
  expect(got).toEqual(['fail ENGINE_BUSY']);
  await expectTold('reserve', 'release');
});

test.each([
  ['an unknown model', { model: 'gpt-9' }, 'MODEL_NOT_FOUND'],
  ['a pinned engine without the scope', { engine: 'chat' }, 'SCOPE_MISSING'],
  ['an answer that a caller begins itself', { continued: 'Sure, ' }, 'INVALID_FIELD'],
  ['more choices than one request may ask for', { prompts: 129 }, 'INVALID_FIELD'],
])('%s is refused before anything is reserved', async (_name, init, reason) => {
  await generate(init);
  expect(got).toEqual([`fail ${reason}`]);
  await expectTold();
});

test('a limit that refuses is passed on, and nothing is released that was never taken', async () => {
  refuse = new MeshError('RATE_LIMIT_EXCEEDED', 'slow down', { retryAfterMs: 1000 });
  await generate();
  expect(got).toEqual(['fail RATE_LIMIT_EXCEEDED']);
  await expectTold();
});

test('a reservation whose answer was lost is given back', async () => {
  onReserve = () => {
    throw toConnectError(new MeshError('STORE_UNAVAILABLE', 'unknown'));
  };
  await generate();
  expect(got).toEqual(['fail STORE_UNAVAILABLE']);
  await expectTold('reserve', 'release');
});

test('one that arrived after it was given back is given back again', async () => {
  unknownReleases = 2;
  onReserve = () => {
    throw toConnectError(new MeshError('DEADLINE_EXCEEDED', 'late'));
  };
  await generate();
  expect(got).toEqual(['fail STORE_UNAVAILABLE']);
  await expectTold('reserve', 'release');
});

test('without a healthy engine nothing is reserved', async () => {
  report(EngineState.BACKOFF);
  await generate();
  expect(got).toEqual(['fail NO_HEALTHY_ENGINE']);
  await expectTold();
});

test('an engine that was lost while quota was asked gives the reservation back', async () => {
  onReserve = () => report(EngineState.BACKOFF);
  await generate();
  expect(got).toEqual(['fail NO_HEALTHY_ENGINE']);
  await expectTold('reserve', 'release');
});

test('a model that was unloaded by hand says so, and costs nothing', async () => {
  report(EngineState.STOPPED, true);
  await generate();
  expect(got).toEqual(['fail MODEL_NOT_LOADED']);
  await expectTold();
});

test('a settlement that the store did not take is tried again', async () => {
  settlementFailures = 2;
  await generate();
  atEngine().sink.event(started());
  atEngine().sink.event(usage());
  atEngine().sink.end();
  await expectTold('reserve', 'settle 2+9');
});

test('of the ways to end a lease the first counts', async () => {
  const lease = await settlement.reserve({ reservationId: 'l', principal });
  lease.settle({ promptTokens: 1, completionTokens: 2, engine: 'chat' });
  lease.release();
  lease.settle({ promptTokens: 3, completionTokens: 4, engine: 'chat' });
  await expectTold('reserve', 'settle 1+2');
});

test('an engine that throws against the rules of the seam ends the generation all the same', async () => {
  const pipeline = await generate({ broken: true });
  expect(got).toEqual(['fail INTERNAL']);
  expect(pipeline.runningCount).toBe(0);
  await expectTold('reserve', 'release');
});

test('a time limit ends the generation at its engine', async () => {
  await generate({ limits: { totalMs: 1 } });
  await expect.poll(() => got).toEqual(['fail DEADLINE_EXCEEDED']);
  expect(atEngine().call.signal.aborted).toBe(true);
});

const REVOKED = { kind: 'key', id: 'k', cutRunningStreams: true } as const;

test('a running generation of a key that is cut ends and is charged what was delivered; others go on', async () => {
  const pipeline = await generate();
  atEngine().sink.event(started());
  atEngine().sink.event(delta(5));
  pipeline.cut({ ...REVOKED, id: 'another' });
  pipeline.cut({ ...REVOKED, kind: 'user' });
  pipeline.cut({ ...REVOKED, kind: 'signing-key' });
  expect(got.at(-1)).toBe('delta');
  pipeline.cut(REVOKED);
  expect(atEngine().call.signal.aborted).toBe(true);
  expect(got.at(-1)).toBe('fail CREDENTIAL_INVALID');
  expect(pipeline.runningCount).toBe(0);
  await expectTold('reserve', 'settle 2+5');
});

test('a generation of a key that is cut before it runs does not run, and costs nothing', async () => {
  onAuthenticate = (pipeline) => pipeline.cut(REVOKED);
  await generate();
  expect(got).toEqual(['fail CREDENTIAL_INVALID']);
  await expectTold();
});

test('nor does one of a key that is cut while quota is asked', async () => {
  onAuthenticate = (pipeline) => {
    onReserve = () => pipeline.cut(REVOKED);
  };
  await generate();
  expect(engine).toBeUndefined();
  expect(got).toEqual(['fail CREDENTIAL_INVALID']);
  await expectTold('reserve', 'release');
});

test('a draining router refuses what is new and ends what is told to end', async () => {
  const pipeline = await generate();
  atEngine().sink.event(started());
  pipeline.drain();
  expect(pipeline.runningCount).toBe(1);
  pipeline.abortAll(new MeshError('SHUTTING_DOWN', 'bye'));
  expect(pipeline.runningCount).toBe(0);
  expect(got.at(-1)).toBe('fail SHUTTING_DOWN');
  await expectTold('reserve', 'settle 0+0');
});
