import { setTimeout as pause } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import {
  type GenerateRequest,
  ResumePolicy,
  SamplingParametersSchema,
} from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Generate, GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { Breakers } from '../fleet/breaker.ts';
import type { Candidate } from '../fleet/snapshot.ts';
import type { Place } from '../queue/places.ts';
import { isPinnedElsewhere } from '../select/verdict.ts';
import { Attempt } from './attempt.ts';
import type { Booking } from './booking.ts';
import { makesAllChoices } from './choices.ts';
import { faultOf } from './engine-fault.ts';
import {
  continued,
  isUsedUp,
  type NotResumed,
  neverResumed,
  notResumed,
  notResumedAfter,
  tellsContinuation,
  type Way,
  wayOf,
} from './resume.ts';
import type { RetryBudget } from './retry-budget.ts';
import { Splice } from './splice.ts';
import type { Transcript } from './transcript.ts';

/** What all relays of a router work with. */
export interface EngineSide {
  /** The engines of the node at an address; "" is this process. */
  readonly generateAt: (address: string) => Generate;
  readonly booking: Pick<Booking, 'another' | 'oneMore' | 'hasOther' | 'isFull'>;
  readonly breakers: Breakers;
  readonly retryBudget: RetryBudget;
  /** At how many engines a request may be tried before its first token. */
  readonly mostTries: number;
  /** How many engines may go on after the first token. 0: none. */
  readonly mostTakeovers: number;
}

/** What a relay stands between. */
export interface RelayParts {
  readonly request: GenerateRequest;
  readonly engines: EngineSide;
  /** Where the one stream goes. */
  readonly sink: GenerationSink;
  /** The call towards engines; its signal ends the generation whichever engine has it. */
  readonly call: GenerationCall;
  /** A bound of the prompt, for the bill of an engine that broke off before it told. */
  readonly promptTokens: number;
  /** Called whenever it is sent to an engine, which then has its own time. */
  readonly onSent: () => void;
}

/** Waits before a request is tried again are drawn up to this, twice as long each time, in milliseconds. */
const JITTER_MS = 25;

/**
 * One stream out of one or more attempts: before anything was delivered the request is tried again, after that another engine
 * goes on from what was delivered.
 */
export class Relay implements GenerationSink {
  readonly #parts: RelayParts;
  /** Why the generation is not continued whatever happens. Undefined: it may be. */
  readonly #never: NotResumed | 'off' | undefined;
  readonly #splice: Splice;
  /** By their lives: a node that was started anew meanwhile is as good as another. */
  readonly #tried = new Set<string>();
  #place: Place;
  /** The one that runs. Unset: none, or another place is looked for. */
  #attempt: Attempt | undefined;
  #attempts = 0;
  #takeovers = 0;
  #waitedMs = 0;
  /** What broke the stream that an engine goes on with. */
  #broke: MeshError | undefined;

  constructor(parts: RelayParts, place: Place) {
    const { request, engines, sink, call } = parts;
    this.#parts = parts;
    this.#place = place;
    this.#never = engines.mostTakeovers === 0 ? 'off' : neverResumed(request);
    this.#splice = new Splice({
      sink,
      keeps: this.#never === undefined,
      tellsIds: request.sampling?.returnTokenIds ?? false,
    });
    call.signal.addEventListener('abort', () => this.#aborted(), { once: true });
  }

  /** The name of the engine that has the generation, or had it last. */
  get engine(): string {
    return this.#place.candidate.engine.name;
  }

  /** The node of that engine. */
  get node(): string {
    return this.#place.candidate.node;
  }

  /** What the prompt counts as while no engine told its length. */
  get promptTokens(): number {
    return this.#parts.promptTokens;
  }

  /** How long it waited for places in all, in milliseconds. */
  get waitedMs(): number {
    return this.#waitedMs;
  }

  /** Sends the request to the first engine. */
  start(): void {
    this.#parts.engines.retryBudget.earn();
    this.#run(this.#place, this.#parts.request, 0);
  }

  /** Nothing came for too long: the engine is given up. Returns whether one had the generation. */
  stalled(error: MeshError): boolean {
    const attempt = this.#attempt;
    attempt?.giveUp(error);
    return attempt !== undefined;
  }

  /** What the present attempt tells. */
  event(event: GenerationEvent): void {
    this.#splice.event(event);
  }

  /** The present attempt has ended. */
  end(): void {
    this.#attempt = undefined;
    this.#parts.sink.end();
  }

  /** The present attempt broke off: it may be tried again, or gone on with. */
  fail(error: MeshError): void {
    this.#attempt = undefined;
    this.#failed(error);
  }

  /** @param before how many tokens were delivered before it */
  #run(place: Place, request: GenerateRequest, before: number): void {
    const { engines, call, onSent } = this.#parts;
    onSent();
    this.#place = place;
    this.#waitedMs += place.waitedMs;
    this.#attempts += 1;
    if (this.#attempts > 1) this.#splice.takeover(this.#attempts, this.engine, before);
    this.#tried.add(place.candidate.life);
    const { requestId, trace, flow, timeoutMs } = call;
    this.#attempt = new Attempt({
      place,
      trial: engines.breakers.enter(place.candidate.id),
      sink: this,
      call: { requestId, trace, flow, timeoutMs },
    });
    this.#attempt.start(engines.generateAt(place.candidate.address), this.#prepared(place, request));
  }

  /** Says whether another engine could go on, and asks for the ids of tokens where it could go on from them. */
  #prepared({ candidate }: Place, request: GenerateRequest): GenerateRequest {
    const { sampling } = request;
    const asksIds = !sampling?.returnTokenIds && tellsContinuation(candidate.engine);
    if (this.#never !== undefined || (!asksIds && !sampling?.stop.length)) return request;
    // Each token costs something: not while nobody is there to use them. One that comes later goes on from the text.
    if (!this.#hasOther(this.#takesWhole)) return { ...request, resume: ResumePolicy.NEVER };
    const resumed = { ...request, resume: ResumePolicy.ALLOWED };
    if (!asksIds) return resumed;
    return { ...resumed, sampling: { ...(sampling ?? create(SamplingParametersSchema)), returnTokenIds: true } };
  }

  #aborted(): void {
    const { signal } = this.#parts.call;
    if (this.#attempt) this.#attempt.abort(signal.reason);
    else this.#parts.sink.fail(signal.reason);
  }

  #failed(error: MeshError): void {
    const { call, sink } = this.#parts;
    const isFinal = faultOf(error) === 'final';
    if (call.signal.aborted || (isFinal && !this.#broke)) sink.fail(error);
    else if (isFullByLimit(error, this.#place)) void this.#waitAgain(error);
    else if (!this.#splice.hasDelivered) void this.#retry(error);
    else this.#resume(this.#broke ?? error, isFinal);
  }

  /** Another router's requests took its place: nothing broke, and it goes on as if it had not been sent there. */
  async #waitAgain(error: MeshError): Promise<void> {
    const { engines, request } = this.#parts;
    engines.booking.isFull(this.#place);
    this.#tried.delete(this.#place.candidate.life);
    this.#attempts -= 1;
    if (this.#broke) {
      this.#takeovers -= 1;
      this.#resume(this.#broke, false);
      return;
    }
    const place = await this.#another(this.#takesWhole, error);
    if (place) this.#run(place, request, 0);
  }

  /** Whether an engine can take the request as it is. */
  readonly #takesWhole = (candidate: Candidate): boolean => makesAllChoices(this.#parts.request, candidate);

  /** Tries the whole request at another engine. */
  async #retry(error: MeshError): Promise<void> {
    const { engines, request, sink } = this.#parts;
    if (this.#attempts >= engines.mostTries || !this.#hasOther(this.#takesWhole) || !engines.retryBudget.spend()) {
      sink.fail(error);
      return;
    }
    await pause(Math.random() * JITTER_MS * 2 ** this.#attempts);
    const place = await this.#another(this.#takesWhole, error);
    if (place) this.#run(place, request, 0);
  }

  /** Lets another engine go on. */
  #resume(broke: MeshError, isRefused: boolean): void {
    const { engines, request, sink, promptTokens } = this.#parts;
    const { transcript } = this.#splice;
    if (!transcript) {
      sink.fail(this.#never === undefined || this.#never === 'off' ? broke : notResumed(broke, this.#never));
      return;
    }
    if (transcript.isFinished || isUsedUp(request, transcript)) {
      this.#splice.complete(promptTokens);
      sink.end();
      return;
    }
    const isSpent = this.#takeovers >= engines.mostTakeovers;
    const refusal = notResumedAfter(transcript) ?? (isRefused ? 'no_engine' : isSpent ? 'attempts' : undefined);
    if (refusal) {
      sink.fail(notResumed(broke, refusal));
      return;
    }
    this.#broke = broke;
    void this.#goOn(transcript, notResumed(broke, 'no_engine'));
  }

  async #goOn(transcript: Transcript, error: MeshError): Promise<void> {
    const { request, sink } = this.#parts;
    const { kind } = this.#place.candidate.engine;
    const wayOn = ({ engine }: Candidate): Way | undefined => wayOf(engine, request, transcript, kind);
    const isAble = (candidate: Candidate): boolean => wayOn(candidate) !== undefined;
    if (!this.#hasOther(isAble)) {
      sink.fail(error);
      return;
    }
    const place = await this.#another(isAble, error);
    const way = place && wayOn(place.candidate);
    if (!way) return;
    this.#takeovers += 1;
    // Its tokens are not those that another engine would make of the text.
    if (way === 'text') transcript.hasAllIds = false;
    this.#run(place, continued(request, transcript, way), transcript.tokens);
  }

  #hasOther(passes: (candidate: Candidate) => boolean): boolean {
    const { engines, request } = this.#parts;
    const isOther = (one: Candidate): boolean => !this.#tried.has(one.life) && !isPinnedElsewhere(one, request.engine);
    return engines.booking.hasOther(this.#place, (one) => isOther(one) && passes(one));
  }

  /** Ends with `error` when there is none; undefined then, and when the caller left meanwhile. */
  async #another(passes: (candidate: Candidate) => boolean, error: MeshError): Promise<Place | undefined> {
    const { engines, request, call, sink } = this.#parts;
    const isNew = (one: Candidate): boolean => !this.#tried.has(one.life) && passes(one);
    const place = await engines.booking.another(request, this.#place, isNew, call.signal);
    if (!call.signal.aborted) {
      if (!place) sink.fail(error);
      return place;
    }
    place?.leave();
    return undefined;
  }
}

/** Whether an engine is only full: one that we hold to limits gets free again. */
function isFullByLimit({ reason }: MeshError, { candidate: { engine } }: Place): boolean {
  return reason === 'ENGINE_BUSY' && (engine.maxConcurrency > 0 || engine.maxConcurrentContextTokens > 0);
}
