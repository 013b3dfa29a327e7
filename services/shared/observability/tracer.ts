import { type TraceHeaders, W3C_HEADERS } from './trace-headers.ts';

/** What is noted of a span. Names stand in telemetry-names.ts; what is undefined is left out. */
export type Attributes = Readonly<Record<string, string | number | boolean | string[] | undefined>>;

/** Who asks whom: `server` answers another process, `client` asks one, `internal` stays in the process. */
export type SpanKind = 'server' | 'client' | 'internal' | 'consumer';

/** How a span begins. */
export interface SpanStart {
  readonly kind: SpanKind;
  /** Whose part it is: the span that is active, the headers of a call, or nobody's (undefined), which begins a trace. */
  readonly parent: 'active' | TraceHeaders | undefined;
  readonly attributes?: Attributes;
}

/** A piece of work with a beginning and an end. Nothing of it throws. */
export interface Span {
  /** What makes the work of others a part of it. Undefined: nothing is recorded and the caller gave none. */
  readonly headers: TraceHeaders | undefined;
  /** The id of its trace, 32 hexadecimal digits. Undefined: there is none of ours; what the caller gave may have one. */
  readonly traceId: string | undefined;
  /** Whether anybody will see it; else there is no use in noting anything. */
  readonly isRecorded: boolean;
  set(attributes: Attributes): void;
  /** Something that happened now. */
  event(name: string, attributes?: Attributes): void;
  /** It failed. `errorType` is one of few words, e.g. the reason of a MeshError; never a message. */
  fail(errorType: string): void;
  /** Ends it; the first time counts. */
  end(): void;
  /** Runs work in which it is active, also after each await. */
  within<T>(work: () => T): T;
}

/** Where spans of this process go. */
export interface Tracer {
  /** Whether traces are recorded at all. */
  readonly isOn: boolean;
  /** The headers that carry the trace of a call; the first of them is always there. */
  readonly headerNames: readonly string[];
  /** Whether spans may hold what people write and are answered. */
  readonly recordsContent: boolean;
  begin(name: string, start: SpanStart): Span;
  /**
   * Whether a span is active that is recorded and has not ended: what a request began and goes on for ever, e.g. a timer, is no part
   * of it. What was captured is.
   */
  readonly hasActive: boolean;
  /** The trace id of the active span; undefined: none is active. */
  readonly activeTraceId: string | undefined;
  /** What makes the work of others a part of the active span; undefined: there is none as hasActive has it. */
  readonly activeHeaders: TraceHeaders | undefined;
  /** Runs work that is part of no span. */
  outside<T>(work: () => T): T;
  /** Returns what runs work with the span active that is active now, also when that has ended: what it causes at its end. */
  capture(): <T>(work: () => T) => T;
}

/** Records nothing and hands the trace of callers on. */
export const NO_TRACER: Tracer = {
  isOn: false,
  headerNames: W3C_HEADERS,
  recordsContent: false,
  begin: (_name, { parent }) =>
    parent === undefined || parent === 'active' ? NO_SPAN : { ...NO_SPAN, headers: parent },
  hasActive: false,
  activeTraceId: undefined,
  activeHeaders: undefined,
  outside: (work) => work(),
  capture: () => (work) => work(),
};

const NO_SPAN: Span = {
  headers: undefined,
  traceId: undefined,
  isRecorded: false,
  set() {},
  event() {},
  fail() {},
  end() {},
  within: (work) => work(),
};

let current: Tracer = NO_TRACER;

/** The tracer of this process: one, as the process is one in every trace. */
export function tracer(): Tracer {
  return current;
}

/** Sets it, before anything else of the process is built. Returns what sets the one before it again. */
export function setTracer(next: Tracer): () => void {
  const before = current;
  current = next;
  return () => {
    current = before;
  };
}
