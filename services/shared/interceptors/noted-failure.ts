import { ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus } from '@connectrpc/connect/protocol-connect';
import { asMeshError, toConnectError } from '../errors/connect-error.ts';
import type { RequestFacts } from '../observability/request-facts.ts';

/** Notes why an RPC failed, for the request log; the first reason counts. */
export function noteFailure(facts: RequestFacts | undefined, error: unknown): void {
  if (!facts || facts.reason !== undefined) return;
  const { code } = error instanceof ConnectError ? error : toConnectError(error);
  facts.reason = asMeshError(error).reason;
  facts.status = codeToHttpStatus(code);
}
