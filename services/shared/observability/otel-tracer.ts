import {
  type Context,
  context,
  createContextKey,
  type Span as OtelSpan,
  SpanKind as OtelSpanKind,
  type Tracer as OtelTracer,
  propagation,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { activeContext, NO_CONTEXT } from './otel-context.ts';
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
      if (parent !== 'active' && parent instanceof OwnHeaders) {
        // With every sampler that can be chosen, parts of what is not recorded here are not recorded either.
        const whole = trace.getSpan(around);
        if (whole && !isSampled(whole)) return new SdkSpan(whole, around, parent);
      }
      const span = inner.startSpan(name, { kind: KINDS[kind] }, around);
      // The SDK looks at each attribute of a start twice, and at those of what is not recorded too. No sampler asks for them.
      if (attributes && span.isRecording()) span.setAttributes(attributes);
      return new SdkSpan(span, trace.setSpan(around, span));
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
      return this.hasActive ? headersOf(activeContext().deleteValue(LATE)) : undefined;
    },
    outside: (work) => context.with(NO_CONTEXT, work),
    capture() {
      const late = activeContext().setValue(LATE, true);
      return (work) => context.with(late, work);
    },
  };
}

function isSampled(span: OtelSpan): boolean {
  return (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0;
}

function contextOf(parent: SpanStart['parent']): Context {
  if (parent === 'active') return activeContext();
  if (parent === undefined) return NO_CONTEXT;
  return OwnHeaders.contextOf(parent) ?? propagation.extract(NO_CONTEXT, parent);
}

/** What a context is carried on by. In this process nobody has to read what was written here. */
class OwnHeaders {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
    propagation.inject(context, this);
  }

  /** The context that headers were made of here; undefined: they came from elsewhere. */
  static contextOf(headers: TraceHeaders): Context | undefined {
    return #context in headers ? headers.#context : undefined;
  }
}

function headersOf(context: Context): TraceHeaders {
  return new OwnHeaders(context) as TraceHeaders & OwnHeaders;
}

/** A span of the SDK, recorded or not. */
class SdkSpan implements Span {
  readonly #span: OtelSpan;
  readonly #context: Context;
  #headers: TraceHeaders | undefined;

  constructor(span: OtelSpan, context: Context, headers?: TraceHeaders) {
    this.#span = span;
    this.#context = context;
    this.#headers = headers;
  }

  get headers(): TraceHeaders {
    this.#headers ??= headersOf(this.#context);
    return this.#headers;
  }

  get traceId(): string {
    return this.#span.spanContext().traceId;
  }

  get isRecorded(): boolean {
    return this.#span.isRecording();
  }

  set(attributes: Attributes): void {
    // What is noted after the end costs the SDK an error with a stack.
    if (this.#span.isRecording()) this.#span.setAttributes(attributes);
  }

  event(name: string, attributes?: Attributes): void {
    if (this.#span.isRecording()) this.#span.addEvent(name, attributes);
  }

  fail(errorType: string): void {
    if (!this.#span.isRecording()) return;
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
