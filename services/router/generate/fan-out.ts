import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Delta, GenerationEvent, Usage } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../../shared/errors/connect-error.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationSink } from '../../shared/transport/generate.ts';
import type { Place, Wanting } from '../queue/places.ts';
import { Relay, type RelayParts } from './relay.ts';

/** Several requests of one choice each as one generation: one start, the choices beside each other, one bill. */
export class FanOut {
  readonly #parts: RelayParts;
  readonly #place: Place;
  readonly #principal: Wanting['principal'];
  readonly #choices: number;
  /** By choice. */
  readonly #relays = new Map<number, Relay>();
  readonly #flows: FlowControl[] = [];
  /** Tokens of each choice so far. */
  readonly #tokens: number[] = [];
  readonly #bills: Usage[] = [];
  /** Ends the others when one breaks. */
  readonly #abort = new AbortController();
  /** How many choices have no place yet. */
  #waiting = 0;
  #hasStarted = false;
  #isOver = false;

  /** `principal` is in whose turn the choices after the first get their places. */
  constructor(parts: RelayParts, place: Place, principal: Wanting['principal']) {
    const { call, request } = parts;
    this.#parts = parts;
    this.#place = place;
    this.#principal = principal;
    this.#choices = request.sampling?.choices ?? 1;
    const { signal } = call;
    signal.addEventListener('abort', () => this.#abort.abort(signal.reason), { once: true });
    call.flow.connect((paused) => {
      for (const flow of this.#flows)
        if (paused) flow.pause();
        else flow.resume();
    });
  }

  /** The name of the engine that has the first choice. */
  get engine(): string {
    return this.#relays.get(0)?.engine ?? this.#place.candidate.engine.name;
  }

  /** How long the first choice waited for places, in milliseconds. */
  get waitedMs(): number {
    return this.#relays.get(0)?.waitedMs ?? 0;
  }

  /** Sends the first request to the engine that was booked, and the others where there is a place. */
  start(): void {
    this.#begin(0, this.#place);
    for (let choice = 1; choice < this.#choices; choice += 1) void this.#find(choice);
  }

  /** No choice went on for too long: all their engines are given up. Returns whether one had a choice, or one waits its turn. */
  stalled(error: MeshError): boolean {
    const isWaiting = this.#waiting > 0;
    return [...this.#relays.values()].map((relay) => relay.stalled(error)).includes(true) || isWaiting;
  }

  async #find(choice: number): Promise<void> {
    const { engines } = this.#parts;
    const { signal } = this.#abort;
    this.#waiting += 1;
    try {
      const place = await engines.booking.oneMore(this.#alone(choice), this.#place, this.#principal, signal);
      if (signal.aborted) place.leave();
      else this.#begin(choice, place);
    } catch (error) {
      this.#fail(asMeshError(error));
    } finally {
      this.#waiting -= 1;
    }
  }

  /** The request for one choice. */
  #alone(choice: number): GenerateRequest {
    const { request, promptTokens } = this.#parts;
    const { sampling } = request;
    const contextTokens = promptTokens + Math.ceil((request.contextTokens - promptTokens) / this.#choices);
    return { ...request, contextTokens, ...(sampling ? { sampling: withoutChoices(sampling, choice) } : {}) };
  }

  #begin(choice: number, place: Place): void {
    const { engines, call, promptTokens } = this.#parts;
    const flow = new FlowControl();
    this.#flows.push(flow);
    if (call.flow.paused) flow.pause();
    const { signal } = this.#abort;
    const own = {
      requestId: call.requestId,
      flow,
      signal,
      get timeoutMs() {
        return call.timeoutMs;
      },
    };
    const request = this.#alone(choice);
    const relay = new Relay({ request, engines, sink: this.#sinkOf(choice), call: own, promptTokens }, place);
    this.#relays.set(choice, relay);
    relay.start();
  }

  #sinkOf(choice: number): GenerationSink {
    return {
      event: (message) => this.#event(choice, message),
      end: () => this.#end(choice),
      fail: (error) => this.#fail(error),
    };
  }

  #event(choice: number, message: GenerationEvent): void {
    const { sink } = this.#parts;
    const { event } = message;
    switch (event.case) {
      case 'started':
        if (!this.#hasStarted) sink.event(message);
        this.#hasStarted = true;
        return;
      case 'delta':
        sink.event(told({ case: 'delta', value: this.#counted(choice, event.value) }));
        return;
      case 'finished':
        sink.event(told({ case: 'finished', value: { ...event.value, choice } }));
        return;
      case 'usage':
        this.#bills[choice] = event.value;
        return;
      default:
        sink.event(message);
    }
  }

  #counted(choice: number, delta: Delta): Delta {
    this.#tokens[choice] = delta.completionTokens;
    return { ...delta, choice, completionTokens: sum(this.#tokens) };
  }

  #end(choice: number): void {
    this.#relays.delete(choice);
    const bills = this.#bills.filter((bill) => bill !== undefined);
    const [first] = bills;
    if (bills.length < this.#choices || !first) return;
    const { sink } = this.#parts;
    const value: Usage = {
      $typeName: 'mesh.generation.v1.Usage',
      // One prompt, however often it was computed.
      promptTokens: first.promptTokens,
      cachedTokens: first.cachedTokens,
      completionTokens: sum(bills.map(({ completionTokens }) => completionTokens)),
      reasoningTokens: sum(bills.map(({ reasoningTokens }) => reasoningTokens)),
    };
    sink.event(told({ case: 'usage', value }));
    sink.end();
  }

  #fail(error: MeshError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.sink.fail(error);
    this.#abort.abort(error);
  }
}

type Sampling = NonNullable<GenerateRequest['sampling']>;

/** Each choice has a seed of its own: the same one would make the same answer. */
function withoutChoices({ choices: _, seed, ...sampling }: Sampling, choice: number): Sampling {
  return { ...sampling, ...(seed === undefined ? {} : { seed: seed + BigInt(choice) }) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + (value ?? 0), 0);
}

function told(event: GenerationEvent['event']): GenerationEvent {
  return { $typeName: 'mesh.generation.v1.GenerationEvent', event };
}
