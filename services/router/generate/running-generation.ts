import { create } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type GenerationEvent,
  GenerationEventSchema,
  type Started,
  StartedSchema,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import { CoveredSink } from './covered-sink.ts';
import type { Timed } from './deadlines.ts';
import { DrawDown } from './draw-down.ts';
import { GatedFlow } from './gated-flow.ts';
import type { Reports } from './reports.ts';
import type { Lease } from './settle.ts';

/** What the pipeline knows of a generation when it hands it to an engine. */
export interface Dispatch {
  readonly call: GenerationCall;
  /** Where the events go. */
  readonly sink: GenerationSink;
  /** The model as the caller named it. */
  readonly model: string;
  /** The name of the chosen engine. */
  readonly engine: string;
  readonly lease: Lease;
  /** How many completions are made. */
  readonly choices: number;
  /** Where quota is told how far it is. */
  readonly reports: Reports;
  /** When the request was accepted, in milliseconds since the epoch. */
  readonly createdAtMs: number;
  /** The same on the monotonic clock. */
  readonly startedAtMs: number;
  /** Called once, when the generation is over. */
  readonly onEnd: () => void;
}

/** One generation between its engine and its caller: passes on what its lease covers, counts tokens, settles when it is over. */
export class RunningGeneration implements Timed {
  /** What the engine calls. */
  readonly source: GenerationSink;
  readonly #dispatch: Dispatch;
  readonly #drawDown: DrawDown;
  readonly #flow: GatedFlow;
  readonly #unreport: () => void;
  /** Our own, so that a time limit or a shutdown can end what the caller still wants. */
  readonly #abort = new AbortController();
  readonly #onCallerAbort = (): void => this.#abort.abort(this.#dispatch.call.signal.reason);
  #accepted = false;
  #over = false;
  progressed = false;

  constructor(dispatch: Dispatch) {
    this.#dispatch = dispatch;
    const { call, lease, choices, reports } = dispatch;
    const drawDown = new DrawDown(lease, performance.now());
    drawDown.onLost = (error) => this.expire(error);
    this.#drawDown = drawDown;
    this.#flow = new GatedFlow(call.flow);
    const source = new CoveredSink({
      sink: {
        event: (event) => this.#event(event),
        end: () => this.#end(),
        fail: (error) => this.#fail(error),
      },
      drawDown,
      flow: this.#flow,
      choices,
      urge: () => reports.urge(),
      stop: () => this.expire(new MeshError('TOKEN_BUDGET_SPENT', 'No more tokens could be had.')),
    });
    this.source = source;
    this.#abort.signal.addEventListener('abort', () => source.abandon(asMeshError(this.#abort.signal.reason)));
    this.#unreport = reports.add(drawDown);
    const { signal } = call;
    if (signal.aborted) this.#onCallerAbort();
    else signal.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  /** The call towards the engine: without the caller's credential, which no engine must see. */
  get engineCall(): GenerationCall {
    const { requestId } = this.#dispatch.call;
    return { requestId, flow: this.#flow.engine, signal: this.#abort.signal };
  }

  get startedAtMs(): number {
    return this.#dispatch.startedAtMs;
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

  #event(event: GenerationEvent): void {
    if (this.#over) return;
    const drawDown = this.#drawDown;
    switch (event.event.case) {
      case 'delta': {
        const delta = event.event.value;
        drawDown.completionTokens = delta.completionTokens;
        if (delta.promptTokens > 0) drawDown.promptTokens = delta.promptTokens;
        this.progressed = true;
        break;
      }
      case 'started':
        this.#accepted = true;
        this.#dispatch.sink.event(this.#enriched(event.event.value));
        return;
      case 'usage':
        drawDown.promptTokens = event.event.value.promptTokens;
        drawDown.completionTokens = event.event.value.completionTokens;
        break;
      default:
        break;
    }
    this.#dispatch.sink.event(event);
  }

  #end(): void {
    if (this.#finish()) this.#dispatch.sink.end();
  }

  #fail(error: MeshError): void {
    if (this.#finish()) this.#dispatch.sink.fail(error);
  }

  /** Settles once. A request that no engine took costs nothing; one that was taken is charged what left the engine. */
  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    const { call, lease, engine, onEnd } = this.#dispatch;
    call.signal.removeEventListener('abort', this.#onCallerAbort);
    this.#unreport();
    // A caller who left while the engine was still computing the prompt used the engine: the request stays counted.
    if (this.#accepted || call.signal.aborted) {
      lease.settle({ ...this.#consumption(), engine });
    } else {
      lease.release();
    }
    onEnd();
    return true;
  }

  /** The prompt of tokens that were delivered is charged by its bound where the engine was cut off before it told. */
  #consumption(): { promptTokens: number; completionTokens: number } {
    const { promptTokens, completionTokens, reserved } = this.#drawDown;
    return { promptTokens: promptTokens ?? (completionTokens > 0 ? reserved.promptTokens : 0), completionTokens };
  }

  /** The engine says which model runs; who asked, since when and how full the limits are is the router's to say. */
  #enriched(started: Started): GenerationEvent {
    const { call, model, engine, lease, createdAtMs, startedAtMs } = this.#dispatch;
    const value = create(StartedSchema, {
      requestId: call.requestId,
      model: model || started.modelId,
      modelId: started.modelId,
      engine,
      createdAt: timestampFromMs(createdAtMs),
      queueTime: started.queueTime ?? durationFromMs(Math.round(performance.now() - startedAtMs)),
      limits: [...lease.limits],
    });
    return create(GenerationEventSchema, { event: { case: 'started', value } });
  }
}
