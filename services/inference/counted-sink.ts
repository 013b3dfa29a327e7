import type { GenerationEvent } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../shared/errors/mesh-error.ts';
import type { FlowControl } from '../shared/transport/flow-control.ts';
import type { GenerationSink } from '../shared/transport/generate.ts';
import type { EngineLoad, RunningGeneration } from './supervisor/engine-load.ts';

/**
 * Counts a generation from its dispatch to its end, once whatever ends it, and each of its events. Tells with the first token and
 * with the bill how long the engine had it.
 */
export class CountedSink implements GenerationSink, RunningGeneration {
  readonly #load: EngineLoad;
  readonly #flow: FlowControl;
  readonly #sink: GenerationSink;
  readonly contextTokens: number;
  readonly #sentAtMs = performance.now();
  readonly #leave: () => void;
  begun = false;
  #completionTokens = 0;

  constructor(load: EngineLoad, flow: FlowControl, sink: GenerationSink, contextTokens: number = 0) {
    this.#load = load;
    this.#flow = flow;
    this.#sink = sink;
    this.contextTokens = contextTokens;
    this.#leave = load.add(this);
  }

  get paused(): boolean {
    return this.#flow.paused;
  }

  event(event: GenerationEvent): void {
    this.#load.events++;
    // The start of an answer comes before its prompt is read; only its tokens tell that they flow.
    if (event.event.case === 'delta') {
      if (!this.begun) event.event.value.engineSeconds = this.#secondsAtEngine();
      this.#count(event.event.value.completionTokens);
    } else if (event.event.case === 'usage') {
      event.event.value.engineSeconds = this.#secondsAtEngine();
    }
    this.#sink.event(event);
  }

  #secondsAtEngine(): number {
    return (performance.now() - this.#sentAtMs) / 1_000;
  }

  #count(completionTokens: number): void {
    this.begun = true;
    // Deltas tell the sum so far; an adapter that does not know it tells 0.
    if (completionTokens <= this.#completionTokens) return;
    this.#load.completionTokens += completionTokens - this.#completionTokens;
    this.#completionTokens = completionTokens;
  }

  end(): void {
    this.#leave();
    this.#sink.end();
  }

  fail(error: MeshError): void {
    this.#leave();
    this.#sink.fail(error);
  }
}
