import { durationFromMs, durationMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Principal } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent, Started, Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { Booked } from './booking.ts';
import { choicesOf, makesAllChoices } from './choices.ts';
import { CoveredSink } from './covered-sink.ts';
import type { Timed } from './deadlines.ts';
import { DrawDown } from './draw-down.ts';
import { EngineCall } from './engine-call.ts';
import { FanOut } from './fan-out.ts';
import { GatedFlow } from './gated-flow.ts';
import type { GenerationRecord } from './generation-record.ts';
import { type EngineSide, Relay } from './relay.ts';
import type { Reports } from './reports.ts';

/** What the pipeline knows of a generation when it hands it to an engine. */
export interface Dispatch {
  readonly request: GenerateRequest;
  readonly call: GenerationCall;
  /** Where the events go. */
  readonly sink: GenerationSink;
  readonly principal: Principal;
  /** The first engine, and the lease. */
  readonly booked: Booked;
  readonly engines: EngineSide;
  /** Time left for the whole generation, in milliseconds. */
  readonly leftMs: () => number;
  /** Where quota is told how far it is. */
  readonly reports: Reports;
  /** What is noted of it. */
  readonly record: GenerationRecord;
  /** Called once, when the generation is over. */
  readonly onEnd: () => void;
  /** Called once, after the caller was told that it is over. */
  readonly onTold: (error?: MeshError) => void;
}

/** One generation between its engines and its caller: passes on what its lease covers, counts tokens, settles when it is over. */
export class RunningGeneration implements Timed, GenerationSink {
  readonly #dispatch: Dispatch;
  readonly #sink: GenerationSink;
  readonly #record: GenerationRecord;
  readonly #drawDown: DrawDown;
  readonly #flow: GatedFlow;
  readonly #relay: Relay | FanOut;
  readonly #unreport: () => void;
  /** Our own, so that a time limit or a shutdown can end what the caller still wants. */
  readonly #abort = new AbortController();
  readonly #onCallerAbort = (): void => this.#abort.abort(this.#dispatch.call.signal.reason);
  /** How long it waited at its node for its model, in milliseconds. */
  #atNodeMs = 0;
  #accepted = false;
  #over = false;
  progressed = false;

  constructor(dispatch: Dispatch) {
    this.#dispatch = dispatch;
    this.#sink = dispatch.sink;
    this.#record = dispatch.record;
    const { request, call, principal, booked, engines, reports, record } = dispatch;
    record.bookedAtMs = performance.now();
    record.modelId = booked.modelId;
    const drawDown = new DrawDown(booked.lease, performance.now());
    drawDown.whenLost((error) => this.expire(error));
    this.#drawDown = drawDown;
    this.#flow = new GatedFlow(call.flow);
    const covered = new CoveredSink({
      sink: this,
      drawDown,
      flow: this.#flow,
      choices: choicesOf(request),
      promptTokens: () => drawDown.promptTokens ?? this.#relay.promptTokens,
      urge: () => reports.urge(),
      stop: () => this.expire(new MeshError('TOKEN_BUDGET_SPENT', 'No more tokens could be had.')),
    });
    this.#abort.signal.addEventListener('abort', () => covered.abandon(asMeshError(this.#abort.signal.reason)));
    this.#unreport = reports.add(drawDown);
    const engineCall = this.#engineCall();
    const { promptTokens } = booked.lease;
    const contextTokens = promptTokens + booked.lease.maxCompletionTokens;
    const sent = { ...request, contextTokens };
    const onSent = (): void => {
      this.progressed = true;
      record.attempts += 1;
      record.sentAtMs ??= performance.now();
    };
    const parts = { request: sent, engines, sink: covered, call: engineCall, promptTokens, onSent };
    this.#relay = makesAllChoices(request, booked.candidate)
      ? new Relay(parts, booked)
      : new FanOut(parts, booked, principal);
    const { signal } = call;
    if (signal.aborted) this.#onCallerAbort();
    else signal.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  /** Sends the request to the engine that was booked. */
  start(): void {
    this.#relay.start();
  }

  get startedAtMs(): number {
    return this.#dispatch.record.enteredAtMs;
  }

  get timeoutMs(): number | undefined {
    return this.#dispatch.call.timeoutMs;
  }

  get hasToken(): boolean {
    return this.#drawDown.completionTokens > 0;
  }

  get isPaused(): boolean {
    return this.#flow.engine.paused;
  }

  /** Ends the generation from inside: a time limit, a shutdown. */
  expire(error: MeshError): void {
    this.#abort.abort(error);
  }

  /** Nothing came from the engine for too long: another one may go on. */
  stalled(error: MeshError): void {
    if (!this.#relay.stalled(error)) this.expire(error);
  }

  #engineCall(): GenerationCall {
    const { call, leftMs } = this.#dispatch;
    const { signal } = this.#abort;
    return new EngineCall({ requestId: call.requestId, trace: call.trace, flow: this.#flow.engine, signal, leftMs });
  }

  /** What the lease covers. */
  event(event: GenerationEvent): void {
    if (this.#over) return;
    const drawDown = this.#drawDown;
    const record = this.#record;
    switch (event.event.case) {
      case 'delta': {
        const delta = event.event.value;
        if (record.firstTokenAtMs === undefined) this.#noteFirst(delta.engineSeconds);
        drawDown.completionTokens = delta.completionTokens;
        if (delta.promptTokens > 0) drawDown.promptTokens = delta.promptTokens;
        this.progressed = true;
        break;
      }
      case 'started':
        this.#accepted = true;
        this.#sink.event(this.#enriched(event.event.value));
        return;
      case 'usage':
        drawDown.promptTokens = event.event.value.promptTokens;
        drawDown.completionTokens = event.event.value.completionTokens;
        this.#noteBill(event.event.value);
        break;
      case 'finished':
        record.finishReason ??= event.event.value.reason;
        break;
      case 'resumed':
        record.takeovers += 1;
        break;
      default:
        break;
    }
    this.#sink.event(event);
  }

  #noteFirst(engineSeconds: number | undefined): void {
    const record = this.#record;
    record.firstTokenAtMs = performance.now();
    record.engineFirstTokenMs = inMs(engineSeconds);
  }

  #noteBill({ cachedTokens, reasoningTokens, engineSeconds }: Usage): void {
    const record = this.#record;
    record.cachedTokens = cachedTokens;
    record.reasoningTokens = reasoningTokens;
    record.engineMs = inMs(engineSeconds);
  }

  /** The generation is complete. */
  end(): void {
    if (!this.#finish()) return;
    this.#sink.end();
    this.#dispatch.onTold();
  }

  /** The generation broke off. */
  fail(error: MeshError): void {
    if (!this.#finish()) return;
    this.#sink.fail(error);
    this.#dispatch.onTold(error);
  }

  /** Settles once. A request that no engine took costs nothing; one that was taken is charged what left the engine. */
  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    const { call, booked, onEnd } = this.#dispatch;
    const { lease } = booked;
    const record = this.#record;
    record.engine = this.#relay.engine;
    record.node = this.#relay.node;
    // Of an engine that never accepted it no event tells.
    const noted = call.facts?.generation;
    if (noted) {
      noted.engine ??= record.engine;
      noted.modelId ??= booked.modelId;
    }
    record.queuedMs = this.#relay.waitedMs + this.#atNodeMs;
    call.signal.removeEventListener('abort', this.#onCallerAbort);
    this.#unreport();
    // A caller who left while the engine was still computing the prompt used the engine: the request stays counted.
    if (this.#accepted || call.signal.aborted) {
      const consumption = this.#consumption();
      record.promptTokens = consumption.promptTokens;
      record.completionTokens = consumption.completionTokens;
      lease.settle({ ...consumption, engine: this.#relay.engine });
    } else {
      lease.release();
    }
    onEnd();
    return true;
  }

  /** The prompt of tokens that were delivered is charged by its bound where the engine was cut off before it told. */
  #consumption(): { promptTokens: number; completionTokens: number } {
    const { promptTokens, completionTokens } = this.#drawDown;
    return { promptTokens: promptTokens ?? (completionTokens > 0 ? this.#relay.promptTokens : 0), completionTokens };
  }

  /** The engine says which model runs; who asked, since when and how full the limits are is the router's to say. */
  #enriched(started: Started): GenerationEvent {
    const { request, call, booked } = this.#dispatch;
    this.#atNodeMs = started.queueTime ? durationMs(started.queueTime) : 0;
    const value: Started = {
      $typeName: 'mesh.generation.v1.Started',
      requestId: call.requestId,
      model: request.model || started.modelId,
      modelId: started.modelId,
      engine: this.#relay.engine,
      createdAt: timestampFromMs(this.#record.createdAtMs),
      queueTime: durationFromMs(Math.round(this.#relay.waitedMs + this.#atNodeMs)),
      limits: [...booked.lease.limits],
    };
    return { $typeName: 'mesh.generation.v1.GenerationEvent', event: { case: 'started', value } };
  }
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}
