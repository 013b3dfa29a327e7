import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { GenerationEvent, Started } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../shared/errors/mesh-error.ts';
import type { GenerationSink } from '../shared/transport/generate.ts';

/** Tells a caller who waited for a model how long, in the event that says that it runs. */
export class WaitedSink implements GenerationSink {
  readonly #sink: GenerationSink;
  readonly #waitedMs: number;

  constructor(sink: GenerationSink, waitedMs: number) {
    this.#sink = sink;
    this.#waitedMs = Math.round(waitedMs);
  }

  event(event: GenerationEvent): void {
    this.#sink.event(event.event.case === 'started' ? this.#withWait(event, event.event.value) : event);
  }

  #withWait(event: GenerationEvent, started: Started): GenerationEvent {
    const value = { ...started, queueTime: durationFromMs(this.#waitedMs) };
    return { ...event, event: { case: 'started', value } };
  }

  end(): void {
    this.#sink.end();
  }

  fail(error: MeshError): void {
    this.#sink.fail(error);
  }
}
