import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../errors/mesh-error.ts';
import { EVENTS } from '../observability/telemetry-names.ts';
import { type Attributes, type Span, type SpanKind, tracer } from '../observability/tracer.ts';
import type { Generate, GenerationCall, GenerationSink } from './generate.ts';

/** What the span of a generation says. Asked only while traces are recorded. */
export interface GenerationSpan {
  readonly kind: SpanKind;
  readonly name: (request: GenerateRequest) => string;
  readonly attributes: (request: GenerateRequest, call: GenerationCall) => Attributes;
  /** Makes what notes the events of one; for its deltas only where `readsDeltas`. Unset: nothing is noted. */
  readonly notes?: (span: Span, request: GenerateRequest) => GenerationNotes;
}

/** Notes what becomes of one generation. */
export interface GenerationNotes {
  readonly readsDeltas: boolean;
  event(event: GenerationEvent): void;
  /** The first delta has come, so long after the start, in milliseconds. */
  firstToken?(afterMs: number): void;
  /** It is over, broken off by an error where there is one. Unset: any error is a failure of the span. */
  over?(error: MeshError | undefined): void;
}

/** The same generations, each a span of its trace from the call to its end, with an event at its first token. */
export function tracedGenerate(generate: Generate, says: GenerationSpan): Generate {
  return (request, call, sink) => {
    const to = tracer();
    if (!to.isOn) return generate(request, call, sink);
    const span = to.begin(says.name(request), {
      kind: says.kind,
      parent: call.trace,
      attributes: says.attributes(request, call),
    });
    const inSpan = { ...call, trace: span.headers };
    if (!span.isRecorded) return generate(request, inSpan, sink);
    const traced = new TracedSink(span, sink, says.notes?.(span, request));
    span.within(() => generate(request, inSpan, traced));
  };
}

/** What the end of a generation causes, e.g. its bill, is a part of the span around it, whoever's turn it came in. */
class TracedSink implements GenerationSink {
  readonly #span: Span;
  readonly #sink: GenerationSink;
  readonly #notes: GenerationNotes | undefined;
  readonly #outside: <T>(work: () => T) => T;
  readonly #startedAtMs = performance.now();
  #hasToken = false;

  /** To be made while the span around it is active. */
  constructor(span: Span, sink: GenerationSink, notes: GenerationNotes | undefined) {
    this.#span = span;
    this.#sink = sink;
    this.#notes = notes;
    this.#outside = tracer().capture();
  }

  event(event: GenerationEvent): void {
    if (event.event.case !== 'delta') this.#notes?.event(event);
    else {
      if (!this.#hasToken) this.#firstToken();
      if (this.#notes?.readsDeltas) this.#notes.event(event);
    }
    this.#sink.event(event);
  }

  end(): void {
    this.#over(undefined);
    this.#outside(() => this.#sink.end());
  }

  fail(error: MeshError): void {
    this.#over(error);
    this.#outside(() => this.#sink.fail(error));
  }

  #firstToken(): void {
    this.#hasToken = true;
    this.#span.event(EVENTS.firstToken);
    this.#notes?.firstToken?.(performance.now() - this.#startedAtMs);
  }

  #over(error: MeshError | undefined): void {
    if (this.#notes?.over) this.#notes.over(error);
    else if (error) this.#span.fail(error.reason);
    this.#span.end();
  }
}
