import type { GenerationEvent } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../shared/errors/mesh-error.ts';
import type { GenerationSink } from '../shared/transport/generate.ts';

/** Something that counts what runs. */
interface Counter {
  running: number;
}

/** Counts a generation from its dispatch to its end, once whatever ends it. */
export class CountedSink implements GenerationSink {
  readonly #counter: Counter;
  readonly #sink: GenerationSink;

  constructor(counter: Counter, sink: GenerationSink) {
    this.#counter = counter;
    this.#sink = sink;
    counter.running++;
  }

  event(event: GenerationEvent): void {
    this.#sink.event(event);
  }

  end(): void {
    this.#counter.running--;
    this.#sink.end();
  }

  fail(error: MeshError): void {
    this.#counter.running--;
    this.#sink.fail(error);
  }
}
