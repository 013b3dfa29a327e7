import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type GenerateRequest, GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import {
  FinishReason,
  type GenerationEvent,
  GenerationEventSchema,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { EngineSchema, EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import { Breakers } from '../fleet/breaker.ts';
import { type Candidate, createSnapshot } from '../fleet/snapshot.ts';
import type { Place } from '../queue/places.ts';
import { makesAllChoices } from './choices.ts';
import { FanOut } from './fan-out.ts';
import { type EngineSide, Relay } from './relay.ts';
import { RetryBudget } from './retry-budget.ts';

/** The answer of every engine here: word by word, each a token. */
export const WORDS = ['The', ' river', ' runs', ' slowly', ' to', ' the', ' sea'];
export const PROMPT_TOKENS = 3;

/** An engine that the test leads: it goes on from what a request says that is there already. */
export interface LedEngine {
  readonly request: GenerateRequest;
  readonly call: GenerationCall;
  readonly sink: GenerationSink;
  /** Says that it took the request. */
  start(): void;
  /** Makes tokens; returns how many. */
  words(count: number): number;
  /** Makes the rest, and ends. */
  finish(): void;
  /** Any event. */
  tell(event: MessageInitShape<typeof GenerationEventSchema>['event']): void;
}

/** One generation over engines that the test leads. */
export interface Relayed {
  readonly relay: Relay | FanOut;
  /** The attempts in order. */
  readonly engines: LedEngine[];
  readonly events: GenerationEvent['event'][];
  readonly text: string;
  /** "end", or the reason of the failure. */
  readonly outcome: () => string | undefined;
  readonly error: () => MeshError | undefined;
  readonly breakers: Breakers;
  /** How many places are taken. */
  readonly taken: () => number;
  readonly controller: AbortController;
  /** The node of all engines is started anew. */
  restartNode(): void;
}

/** What the engines of a test can do; by name "a", "b", … */
export type EngineInit = MessageInitShape<typeof EngineSchema>;

const ABLE: EngineInit = { kind: 'k', capabilities: { continuesText: true, continuesChat: true, choices: true } };

/** Runs a request at the first of as many engines as are given. */
export function startRelay(
  init: MessageInitShape<typeof GenerateRequestSchema> = {},
  {
    engines: inits = [{}, {}, {}],
    isFull = () => {},
    ...more
  }: { engines?: EngineInit[]; isFull?: () => void } & Partial<EngineSide> = {},
): Relayed {
  const engines: LedEngine[] = [];
  const named = inits.map((engine, at) =>
    create(EngineSchema, {
      ...ABLE,
      state: EngineState.READY,
      ...engine,
      name: 'abcdef'[at] ?? '',
      modelId: 'm',
    } as EngineInit),
  );
  const candidatesOf = (epoch: bigint): readonly Candidate[] => {
    const node = { node: 'n', epoch, address: '', engines: named, devices: [], draining: false };
    return createSnapshot([node as never], { aliases: {} }).models[0]?.candidates ?? [];
  };
  let candidates = candidatesOf(1n);
  let taken = 0;
  const placeOn = (at: number): Place => {
    const candidate = candidates[at];
    if (!candidate) throw new Error('no such engine');
    taken += 1;
    const leave = (): void => {
      taken -= 1;
    };
    return { candidate, modelId: 'm', waitedMs: 0, leave };
  };
  const breakers = new Breakers({ now: () => performance.now(), onChange: () => {} });
  const side: EngineSide = {
    generateAt: () => (request, call, sink) => engines.push(led(request, call, sink)),
    booking: {
      isFull: () => isFull(),
      hasOther: (_from, passes) => candidates.some(passes),
      another: async (_request, _from, passes) => {
        const at = candidates.findIndex(passes);
        return at < 0 ? undefined : placeOn(at);
      },
      oneMore: async () => placeOn(0),
    },
    breakers,
    retryBudget: new RetryBudget(0.1),
    mostTries: 3,
    mostTakeovers: 3,
    ...more,
  };
  const events: GenerationEvent['event'][] = [];
  const state: { outcome?: string; error?: MeshError } = {};
  const sink: GenerationSink = {
    event: ({ event }) => events.push(event),
    end: () => {
      state.outcome = 'end';
    },
    fail: (error) => {
      state.outcome = state.outcome === undefined ? error.reason : 'told twice';
      state.error = error;
    },
  };
  const controller = new AbortController();
  const request = create(GenerateRequestSchema, {
    prompt: { input: { case: 'text', value: 'Tell me.' } },
    ...init,
  } as MessageInitShape<typeof GenerateRequestSchema>);
  const call: GenerationCall = { requestId: 'r', signal: controller.signal, flow: new FlowControl() };
  const parts = { request, engines: side, sink, call, promptTokens: 9, onSent: () => {} };
  const place = placeOn(0);
  const relay = makesAllChoices(request, place.candidate)
    ? new Relay(parts, place)
    : new FanOut(parts, place, { organizationId: 'o', tier: '' });
  relay.start();
  return {
    relay,
    engines,
    events,
    get text() {
      return events.map((event) => (event.case === 'delta' ? event.value.text : '')).join('');
    },
    restartNode() {
      candidates = candidatesOf(2n);
    },
    outcome: () => state.outcome,
    error: () => state.error,
    breakers,
    taken: () => taken,
    controller,
  };
}

function led(request: GenerateRequest, call: GenerationCall, sink: GenerationSink): LedEngine {
  const { continuation, sampling } = request;
  const first = WORDS.findIndex((_word, at) => WORDS.slice(0, at).join('') === (continuation?.text ?? ''));
  const end = Math.min(WORDS.length, first + (sampling?.maxTokens ?? WORDS.length));
  const prompt = PROMPT_TOKENS + first;
  let next = first;
  call.signal.addEventListener('abort', () => sink.fail(call.signal.reason));
  const tell: LedEngine['tell'] = (event) =>
    sink.event(create(GenerationEventSchema, { event } as MessageInitShape<typeof GenerationEventSchema>));
  const words = (count: number): number => {
    const from = next;
    for (; next < Math.min(end, from + count); next += 1) {
      const ids = sampling?.returnTokenIds ? { tokenIds: [100 + next] } : {};
      const counts = { completionTokens: next - first + 1, promptTokens: prompt };
      tell({ case: 'delta', value: { text: WORDS[next] ?? '', ...counts, ...ids } });
    }
    return next - from;
  };
  return {
    request,
    call,
    sink,
    tell,
    words,
    start: () => tell({ case: 'started', value: { modelId: 'm' } }),
    finish() {
      words(WORDS.length);
      tell({ case: 'finished', value: { reason: end < WORDS.length ? FinishReason.LENGTH : FinishReason.STOP } });
      tell({ case: 'usage', value: { promptTokens: prompt, completionTokens: next - first, cachedTokens: prompt } });
      sink.end();
    },
  };
}
