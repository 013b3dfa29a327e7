import { create } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type GenerationEvent,
  GenerationEventSchema,
  type Started,
  StartedSchema,
} from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import type { GenerationCall, GenerationSink } from '../../shared/transport/generate.ts';
import type { Timed } from './deadlines.ts';
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
  /** When the request was accepted, in milliseconds since the epoch. */
  readonly createdAtMs: number;
  /** The same on the monotonic clock. */
  readonly startedAtMs: number;
  /** Called once, when the generation is over. */
  readonly onEnd: () => void;
}

/** One generation between its engine and its caller: passes events on, counts tokens, and settles when it is over. */
export class RunningGeneration implements GenerationSink, Timed {
  readonly #dispatch: Dispatch;
  /** Our own, so that a time limit or a shutdown can end what the caller still wants. */
  readonly #abort = new AbortController();
  readonly #onCallerAbort = (): void => this.#abort.abort(this.#dispatch.call.signal.reason);
  #promptTokens = 0;
  #completionTokens = 0;
  #accepted = false;
  #over = false;
  progressed = false;

  constructor(dispatch: Dispatch) {
    this.#dispatch = dispatch;
    const { signal } = dispatch.call;
    if (signal.aborted) this.#onCallerAbort();
    else signal.addEventListener('abort', this.#onCallerAbort, { once: true });
  }

  /** The call towards the engine: without the caller's credential, which no engine must see. */
  get engineCall(): GenerationCall {
    const { requestId, flow } = this.#dispatch.call;
    return { requestId, flow, signal: this.#abort.signal };
  }

  get startedAtMs(): number {
    return this.#dispatch.startedAtMs;
  }

  get timeoutMs(): number | undefined {
    return this.#dispatch.call.timeoutMs;
  }

  get hasToken(): boolean {
    return this.#completionTokens > 0;
  }

  get isPaused(): boolean {
    return this.#dispatch.call.flow.paused;
  }

  /** Ends the generation from inside: a time limit, a shutdown. */
  expire(error: MeshError): void {
    this.#abort.abort(error);
  }

  event(event: GenerationEvent): void {
    if (this.#over) return;
    switch (event.event.case) {
      case 'delta': {
        const delta = event.event.value;
        this.#completionTokens = delta.completionTokens;
        if (delta.promptTokens > 0) this.#promptTokens = delta.promptTokens;
        this.progressed = true;
        break;
      }
      case 'started':
        this.#accepted = true;
        this.#dispatch.sink.event(this.#enriched(event.event.value));
        return;
      case 'usage':
        this.#promptTokens = event.event.value.promptTokens;
        this.#completionTokens = event.event.value.completionTokens;
        break;
      default:
        break;
    }
    this.#dispatch.sink.event(event);
  }

  end(): void {
    if (this.#finish()) this.#dispatch.sink.end();
  }

  fail(error: MeshError): void {
    if (this.#finish()) this.#dispatch.sink.fail(error);
  }

  /** Settles once. A request that no engine took costs nothing; one that was taken is charged what left the engine. */
  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    const { call, lease, engine, onEnd } = this.#dispatch;
    call.signal.removeEventListener('abort', this.#onCallerAbort);
    // A caller who left while the engine was still computing the prompt used the engine: the request stays counted.
    if (this.#accepted || call.signal.aborted) {
      lease.settle({ promptTokens: this.#promptTokens, completionTokens: this.#completionTokens, engine });
    } else {
      lease.release();
    }
    onEnd();
    return true;
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
