import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../errors/mesh-error.ts';
import type { Vouched } from '../interceptors/on-behalf-of.ts';
import type { RequestFacts } from '../observability/request-facts.ts';
import type { TraceHeaders } from '../observability/trace-headers.ts';
import type { FlowControl } from './flow-control.ts';

/**
 * The seam of the token path, the same from the facade down to the engine. In one process it is a plain function call;
 * between processes an adapter turns it into an RPC stream and back. Events and requests are read-only: the objects
 * themselves are handed on.
 */
export type Generate = (request: GenerateRequest, call: GenerationCall, sink: GenerationSink) => void;

/** What belongs to one generation besides the request. The same object goes down all layers unless one must add to it. */
export interface GenerationCall {
  /** Names the generation in logs, traces, leases and towards the engine. */
  readonly requestId: string;
  /** Aborts the generation down to the engine. Its reason is a MeshError. */
  readonly signal: AbortSignal;
  /** Time left when the call is made, in milliseconds. Unset: the callee's own limit. */
  readonly timeoutMs?: number | undefined;
  /** How the reader slows the engine down. */
  readonly flow: FlowControl;
  /** What the caller presented as API key or token; towards the router only. */
  readonly credential?: string | undefined;
  /** Whom this process vouches for, instead of a credential; towards the router only. */
  readonly onBehalfOf?: Vouched | undefined;
  /** The caller's real address; towards the router only. Unset: unknown. */
  readonly clientIp?: string | undefined;
  /** Where the process that the caller talks to notes what it learns, see notedGenerate. Unset: nowhere. */
  readonly facts?: RequestFacts | undefined;
  /** The trace that it belongs to, down to the engine; see traceIdOf. Unset: none. */
  readonly trace?: TraceHeaders | undefined;
}

/**
 * Where a generation's events go. `event` any number of times, then exactly one of `end` and `fail`, nothing after. That
 * holds for an aborted call too: the callee calls `fail` at once, without waiting for its own peer. None of the three
 * throws. They may be called before the Generate function has returned.
 */
export interface GenerationSink {
  /** The next event. */
  event(event: GenerationEvent): void;
  /** The stream ended as it should; `usage` was its last event. */
  end(): void;
  /** The stream broke; what was delivered stays delivered. */
  fail(error: MeshError): void;
}
