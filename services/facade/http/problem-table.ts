import type { Reason } from '../../shared/errors/reasons.ts';

/** How a reason looks over HTTP. */
export interface ProblemRow {
  readonly status: number;
  readonly type: string;
  readonly code: string;
  /** A text that clients know; it replaces the message. */
  readonly text?: string;
  /** Tells SDKs not to try again where the status alone would make them. */
  readonly noRetry?: true;
}

const invalid = (code: string): ProblemRow => ({ status: 400, type: 'invalid_request_error', code });
const unavailable = (code: string): ProblemRow => ({ status: 503, type: 'server_error', code });
const denied: ProblemRow = { status: 403, type: 'permission_error', code: 'permission_denied' };
const unauthenticated: ProblemRow = {
  status: 401,
  type: 'invalid_request_error',
  code: 'invalid_api_key',
  text: 'Invalid API key',
};
const conflict: ProblemRow = { status: 409, type: 'conflict_error', code: 'conflict', noRetry: true };
const internal: ProblemRow = { status: 500, type: 'server_error', code: 'internal_error' };
/** Only logged: nobody is left to read an answer. */
const clientLeft: ProblemRow = { status: 499, type: 'invalid_request_error', code: 'client_closed_request' };

/** The one mapping of reasons to HTTP. */
export const PROBLEM_OF_REASON: Readonly<Record<Reason, ProblemRow>> = {
  INVALID_FIELD: invalid('invalid_value'),
  UNSUPPORTED_FIELD: invalid('unsupported_parameter'),
  CONTEXT_LENGTH_EXCEEDED: invalid('context_length_exceeded'),
  CREDENTIAL_MISSING: unauthenticated,
  CREDENTIAL_INVALID: unauthenticated,
  CREDENTIAL_CONFLICT: invalid('credential_conflict'),
  SCOPE_MISSING: denied,
  MODEL_NOT_GRANTED: denied,
  PEER_ONLY: denied,
  MODEL_NOT_FOUND: { status: 404, type: 'invalid_request_error', code: 'model_not_found' },
  MODEL_NOT_LOADED: unavailable('model_not_loaded'),
  NO_HEALTHY_ENGINE: { ...unavailable('no_healthy_backends'), text: 'No healthy backends' },
  ENGINE_LOST: unavailable('engine_lost'),
  ENGINE_FAILED: { status: 502, type: 'server_error', code: 'bad_gateway' },
  ENGINE_BUSY: unavailable('server_is_overloaded'),
  QUEUE_FULL: unavailable('server_is_overloaded'),
  RATE_LIMIT_EXCEEDED: { status: 429, type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  TOKEN_BUDGET_SPENT: { status: 429, type: 'rate_limit_error', code: 'insufficient_quota' },
  RESERVATION_NOT_FOUND: internal,
  RESERVATION_ENDED: internal,
  DEADLINE_EXCEEDED: { status: 504, type: 'server_error', code: 'timeout', text: 'Gateway timeout' },
  CLIENT_STALLED: clientLeft,
  CLIENT_GONE: clientLeft,
  STORE_UNAVAILABLE: unavailable('service_unavailable'),
  PEER_UNAVAILABLE: unavailable('service_unavailable'),
  SHUTTING_DOWN: unavailable('shutting_down'),
  // Not 501: SDKs take every status from 500 for a passing fault and try again.
  NOT_IMPLEMENTED: invalid('not_implemented'),
  INTERNAL: internal,
  NOT_FOUND: { status: 404, type: 'invalid_request_error', code: 'not_found' },
  ALREADY_EXISTS: conflict,
  CONFLICT: conflict,
  MESSAGE_TOO_LARGE: { status: 413, type: 'invalid_request_error', code: 'request_too_large' },
};
