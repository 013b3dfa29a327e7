import type { CallOptions } from '@connectrpc/connect';

/** Longest wait for a unary call behind a GET, in milliseconds. */
const CALL_TIMEOUT_MS = 5000;

/** Options of a unary call on behalf of the caller of an HTTP request. */
export function callerOptions(credential: string): CallOptions {
  return { headers: { authorization: `Bearer ${credential}` }, timeoutMs: CALL_TIMEOUT_MS };
}
