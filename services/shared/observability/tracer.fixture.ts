import { AsyncLocalStorage } from 'node:async_hooks';
import { traceHeadersOf, W3C_HEADERS } from './trace-headers.ts';
import { type Attributes, type Span, type SpanKind, type SpanStart, setTracer, type Tracer } from './tracer.ts';

/** A span that a test looks at. */
export interface TestSpan {
  readonly name: string;
  readonly kind: SpanKind;
  /** The name of the span that it is a part of, or the id of one elsewhere; undefined: it began a trace. */
  readonly parent: string | undefined;
  readonly attributes: Record<string, unknown>;
  readonly events: string[];
  failedAs: string | undefined;
  hasEnded: boolean;
}

/** Records the spans of this process until `restore` is called. `isSampled` false: they are begun and not recorded. */
export function recordSpans(
  isSampled = true,
  recordsContent = false,
): { readonly spans: readonly TestSpan[]; restore(): void } {
  const spans: TestSpan[] = [];
  const active = new AsyncLocalStorage<{ readonly span: TestSpan | undefined; readonly isLate: boolean }>();
  const headersOf = (index: number) => ({ traceparent: `00-${'a'.repeat(32)}-${String(index).padStart(16, '0')}-01` });

  function parentOf(parent: SpanStart['parent']): string | undefined {
    if (parent === 'active') return active.getStore()?.span?.name;
    const id = traceHeadersOf({ get: (name) => parent?.[name] })?.traceparent?.split('-')[2];
    return id && (spans[Number(id)]?.name ?? id);
  }

  function begin(name: string, { kind, parent, attributes = {} }: SpanStart): Span {
    const span: TestSpan = {
      ...{ name, kind, parent: parentOf(parent), attributes: { ...attributes }, events: [] },
      ...{ failedAs: undefined, hasEnded: false },
    };
    if (isSampled) spans.push(span);
    const headers = headersOf(isSampled ? spans.length - 1 : 999);
    return {
      headers,
      traceId: 'a'.repeat(32),
      isRecorded: isSampled,
      set: (more: Attributes) => void Object.assign(span.attributes, more),
      event: (event) => void span.events.push(event),
      fail(errorType) {
        span.failedAs = errorType;
      },
      end() {
        span.hasEnded = true;
      },
      within: (work) => active.run({ span, isLate: false }, work),
    };
  }

  const tracer: Tracer = {
    isOn: true,
    headerNames: W3C_HEADERS,
    recordsContent,
    begin,
    get hasActive() {
      const store = active.getStore();
      return store?.span !== undefined && isSampled && (store.isLate || !store.span.hasEnded);
    },
    get activeTraceId() {
      return active.getStore()?.span ? 'a'.repeat(32) : undefined;
    },
    get activeHeaders() {
      const span = active.getStore()?.span;
      return span && this.hasActive ? headersOf(spans.indexOf(span)) : undefined;
    },
    outside: (work) => active.run({ span: undefined, isLate: false }, work),
    capture() {
      const span = active.getStore()?.span;
      return (work) => active.run({ span, isLate: true }, work);
    },
  };
  return { spans, restore: setTracer(tracer) };
}
