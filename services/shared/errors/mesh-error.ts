import type { Code } from '@connectrpc/connect';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { CODE_OF_REASON, type Reason } from './reasons.ts';

/** What a MeshError may carry besides its reason and message. */
export interface MeshErrorOptions {
  /** Facts for programs, as the reason's comment in the contract lists them, e.g. `{ field: 'sampling.top_p' }`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How long to wait before trying again, in milliseconds; sent as RetryInfo and `Retry-After`. */
  readonly retryAfterMs?: number;
  /** The state of the caller's limits, with RATE_LIMIT_EXCEEDED and TOKEN_BUDGET_SPENT. */
  readonly limits?: readonly LimitState[];
  /** What led to it; logged, never sent. */
  readonly cause?: unknown;
}

/**
 * The one error type inside the mesh. The message is for the caller: it says what was wrong and what to do, and holds
 * no path, key, address or name of another tenant.
 */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;
  readonly limits: readonly LimitState[];

  constructor(reason: Reason, message: string, options: MeshErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
    this.limits = options.limits ?? [];
  }

  /** The RPC code of the reason. */
  get code(): Code {
    return CODE_OF_REASON[this.reason];
  }
}

/** A request field that is missing, of the wrong type or out of range. */
export function invalidField(field: string, problem: string): MeshError {
  return new MeshError('INVALID_FIELD', `${field}: ${problem}`, { metadata: { field } });
}

/** A method of the contract that this build does not have yet. */
export function notImplemented(what: string): MeshError {
  return new MeshError('NOT_IMPLEMENTED', `${what} is not implemented in this version.`);
}

/** What a process that is about to end refuses new work with. */
export function shuttingDown(): MeshError {
  return new MeshError('SHUTTING_DOWN', 'This process is shutting down. Try again.', { retryAfterMs: 1_000 });
}
