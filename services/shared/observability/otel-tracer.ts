import {
  type Context,
  context,
  createContextKey,
  type Span as OtelSpan,
  SpanKind as OtelSpanKind,
  type Tracer as OtelTracer,
  propagation,
  ROOT_CONTEXT,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { NAMES } from './telemetry-names.ts';
import type { TraceHeaders } from './trace-headers.ts';
import type { Attributes, Span, SpanKind, SpanStart, Tracer } from './tracer.ts';

const KINDS: Readonly<Record<SpanKind, OtelSpanKind>> = {
  server: OtelSpanKind.SERVER,
  client: OtelSpanKind.CLIENT,
  internal: OtelSpanKind.INTERNAL,
  consumer: OtelSpanKind.CONSUMER,
};

/** Whether work still belongs to a span that has ended. */
const LATE = createContextKey('inference-mesh late');

/** Spans by OpenTelemetry, of whichever SDK was registered. Loaded only where traces are recorded. */
export function createOtelTracer(version: string, recordsContent: boolean): Tracer {
  const inner: OtelTracer = trace.getTracer('inference-mesh', version);
  return {
    isOn: true,
    recordsContent,
    headerNames: propagation.fields(),
    begin(name, { kind, parent, attributes }: SpanStart) {
      const around = contextOf(parent);
      const start = { kind: KINDS[kind], ...(attributes ? { attributes } : {}) };
      const span = inner.startSpan(name, start, around);
      return new RecordedSpan(span, trace.setSpan(around, span));
    },
    get hasActive() {
      const active = context.active();
      const span = trace.getSpan(active);
      if (!span) return false;
      return span.isRecording() || (active.getValue(LATE) === true && isSampled(span));
    },
    get activeTraceId() {
      return trace.getActiveSpan()?.spanContext().traceId;
    },
    get activeHeaders() {
      if (!this.hasActive) return undefined;
      const headers: Record<string, string> = {};
      propagation.inject(context.active(), headers);
      return headers;
    },
    outside: (work) => context.with(ROOT_CONTEXT, work),
    capture() {
      const late = context.active().setValue(LATE, true);
      return (work) => context.with(late, work);
    },
  };
}

function isSampled(span: OtelSpan): boolean {
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;
}

function contextOf(parent: SpanStart['parent']): Context {
  if (parent === 'active') return context.active();
  return parent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, parent);
}

class RecordedSpan implements Span {
  readonly #span: OtelSpan;
  readonly #context: Context;
  #headers: TraceHeaders | undefined;

  constructor(span: OtelSpan, context: Context) {
    this.#span = span;
    this.#context = context;
  }

  get headers(): TraceHeaders {
    if (!this.#headers) {
      const headers: Record<string, string> = {};
      propagation.inject(this.#context, headers);
      this.#headers = headers;
    }
    return this.#headers;
  }

  get isRecorded(): boolean {
    return this.#span.isRecording();
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  event(name: string, attributes?: Attributes): void {
    this.#span.addEvent(name, attributes);
  }

  fail(errorType: string): void {
    this.#span.setAttribute(NAMES.errorType, errorType).setStatus({ code: SpanStatusCode.ERROR });
  }

  end(): void {
    // The SDK complains of a second end.
    if (this.#span.isRecording()) this.#span.end();
  }

  within<T>(work: () => T): T {
    return context.with(this.#context, work);
  }
}
