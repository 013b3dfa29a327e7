import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import {
  FinishReason,
  type GenerationEvent,
  GenerationEventSchema,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegisterRequestSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import { Breakers } from '../fleet/breaker.ts';
import { Registry } from '../fleet/registry.ts';
import { type QueueConfig, queueConfigSchema } from '../queue/config.ts';
import { Places } from '../queue/places.ts';
import { Chooser } from '../select/chooser.ts';
import { EngineLoads } from '../select/engine-loads.ts';
import { Booking } from './booking.ts';
import { Deadlines } from './deadlines.ts';
import type { GenerationRecord } from './generation-record.ts';
import { Pipeline } from './pipeline.ts';
import type { CountPrompt } from './prompt-count.ts';
import type { EngineSide } from './relay.ts';
import { Reports } from './reports.ts';
import { RetryBudget } from './retry-budget.ts';
import { Settlement } from './settle.ts';

/** A generation as its engine sees it. */
export interface AtEngine {
  readonly engine: string;
  readonly call: GenerationCall;
  /** Sends `count` tokens, each in an event of its own with the text "x", unless it is paused or stopped; returns how many. */
  tokens(count: number): number;
  /** Sends tokens as one event, however the flow stands. */
  group(count: number, more?: object): void;
  /** Ends as engines do: finished, usage, end. */
  finish(): void;
}

/** A generation as its caller sees it. */
export interface AtCaller {
  readonly events: GenerationEvent['event'][];
  readonly flow: FlowControl;
  /** How many tokens were delivered, by the last delta. */
  readonly delivered: number;
  readonly reason: FinishReason | undefined;
  /** "end", or the reason of the failure; undefined while it runs. */
  outcome: string | undefined;
  error: MeshError | undefined;
  leave(error: MeshError): void;
}

/** A pipeline over engines that are functions of the test. */
export interface FrontDoor {
  readonly pipeline: Pipeline;
  readonly settlement: Settlement;
  readonly places: Places;
  readonly atEngine: AtEngine[];
  /** What observers were told, in order. */
  readonly records: GenerationRecord[];
  /** Reports the engines anew. */
  report(engines: MessageInitShape<typeof EngineSchema>[]): void;
  ask(request?: Asked, principal?: Principal): AtCaller;
}

/** What a pipeline's relays work with. */
export function engineSide(
  generateAt: EngineSide['generateAt'],
  booking: Booking,
  more: Partial<EngineSide> = {},
): EngineSide {
  const breakers = new Breakers({ now: () => performance.now(), onChange: () => {} });
  return { generateAt, booking, breakers, retryBudget: new RetryBudget(0.1), mostTries: 3, mostTakeovers: 3, ...more };
}

/** What of a request the tests vary. */
export type Asked = Pick<MessageInitShape<typeof GenerateRequestSchema>, 'sampling' | 'engine' | 'morePrompts'> & {
  readonly text?: string;
  readonly timeoutMs?: number;
};

const PROMPT_TOKENS = 2;

/** Makes it; engines tell the prompt, of 2 tokens, with their first token. */
export function createFrontDoor(
  quota: Client<typeof QuotaService>,
  caller: Principal,
  countPrompt: CountPrompt = async () => undefined,
  queue: Partial<QueueConfig> = {},
): FrontDoor {
  const log = pino({ level: 'silent' });
  const settlement = new Settlement(quota, log);
  const loads = new EngineLoads();
  const registry = new Registry({ aliases: {} }, loads);
  const atEngine: AtEngine[] = [];
  const records: GenerationRecord[] = [];
  let next = caller;
  const chooser = new Chooser({ loads, affinityBound: 2 });
  const places = new Places({ registry, chooser, queue: queueConfigSchema.parse(queue) });
  const booking = new Booking({ settlement, registry, chooser, places, countPrompt });
  const generateAt = () => (request: GenerateRequest, call: GenerationCall, sink: GenerationSink) => {
    atEngine.push(engineOf(request, call, sink));
  };
  const pipeline = new Pipeline({
    authenticate: async () => next,
    booking,
    engines: engineSide(generateAt, booking),
    reports: new Reports(quota, log),
    registry,
    deadlines: new Deadlines({ totalMs: 300_000, firstTokenMs: 300_000, betweenTokensMs: 300_000 }),
    observers: [{ ended: (record) => records.push(record) }],
    now: Date.now,
  });
  const report = (engines: MessageInitShape<typeof EngineSchema>[]): void => {
    const known = engines.map((engine) => create(EngineSchema, { modelId: 'm', state: EngineState.READY, ...engine }));
    const node = create(RegisterRequestSchema, { node: 'n', epoch: 1n, engines: known });
    registry.report(node, { epochMs: 0, monotonicMs: 0 });
  };
  report([{ name: 'chat', contextTokens: 100_000 }]);
  return {
    pipeline,
    settlement,
    places,
    atEngine,
    records,
    report,
    ask({ text = 'hi', timeoutMs, ...more } = {}, principal = caller) {
      next = principal;
      const controller = new AbortController();
      const { side, sink } = callerSide(controller);
      const call = { requestId: 'r', signal: controller.signal, flow: side.flow, credential: 'c', timeoutMs };
      const prompt = { input: { case: 'text' as const, value: text } };
      pipeline.generate(create(GenerateRequestSchema, { model: 'm', prompt, ...more }), call, sink);
      return side;
    },
  };
}

function callerSide(controller: AbortController): { side: AtCaller; sink: GenerationSink } {
  const events: GenerationEvent['event'][] = [];
  const side: AtCaller = {
    events,
    flow: new FlowControl(),
    outcome: undefined,
    error: undefined,
    get delivered() {
      const last = events.findLast((event) => event.case === 'delta');
      return last?.case === 'delta' ? last.value.completionTokens : 0;
    },
    get reason() {
      const last = events.findLast((event) => event.case === 'finished');
      return last?.case === 'finished' ? last.value.reason : undefined;
    },
    leave: (error) => controller.abort(error),
  };
  const sink: GenerationSink = {
    event: ({ event }) => events.push(event),
    end: () => {
      side.outcome = 'end';
    },
    fail: (error) => {
      side.outcome = error.reason;
      side.error = error;
    },
  };
  return { side, sink };
}

function engineOf(request: GenerateRequest, call: GenerationCall, sink: GenerationSink): AtEngine {
  let made = 0;
  let paused = false;
  call.flow.connect((isPaused) => {
    paused = isPaused;
  });
  const onAbort = (): void => sink.fail(call.signal.reason);
  call.signal.addEventListener('abort', onAbort);
  const send = (event: MessageInitShape<typeof GenerationEventSchema>['event']): void =>
    sink.event(create(GenerationEventSchema, { event } as MessageInitShape<typeof GenerationEventSchema>));
  const group = (count: number, more: object = {}): void => {
    made += count;
    const tokens = { text: 'x'.repeat(count), completionTokens: made, promptTokens: PROMPT_TOKENS };
    send({ case: 'delta', value: { ...tokens, ...more } });
  };
  send({ case: 'started', value: { modelId: 'm' } });
  return {
    engine: request.engine,
    call,
    group,
    tokens(count) {
      let sent = 0;
      for (; sent < count && !paused && !call.signal.aborted; sent += 1) group(1);
      return sent;
    },
    finish() {
      send({ case: 'finished', value: { choice: 0, reason: FinishReason.STOP } });
      send({ case: 'usage', value: { promptTokens: PROMPT_TOKENS, completionTokens: made } });
      // An engine that is at its end says nothing more.
      call.signal.removeEventListener('abort', onAbort);
      sink.end();
    },
  };
}
