import { Code } from '@connectrpc/connect';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import type { StatusObject } from '@grpc/grpc-js';
import { fromConnectError } from '../../errors/connect-error.ts';
import { MeshError } from '../../errors/mesh-error.ts';

/** The statuses by which the other side refuses a trunk; every other one without a reason of ours is that of the connection. */
const REFUSALS: ReadonlySet<Code> = new Set([Code.Unimplemented, Code.PermissionDenied, Code.Unauthenticated]);

const DETAILS = 'grpc-status-details-bin';

/** Why a trunk is over: what the other side said, else PEER_UNAVAILABLE. `status` is what grpc-js told, if it told any. */
export function trunkFailure(status: unknown): MeshError {
  const error = isStatus(status) && status.code !== 0 ? fromConnectError(toConnect(status)) : undefined;
  const isTold = isStatus(status) && (status.metadata.get(DETAILS).length > 0 || REFUSALS.has(status.code as number));
  if (error && isTold) return error;
  return new MeshError('PEER_UNAVAILABLE', 'A part of the mesh does not answer. Try again shortly.', { cause: status });
}

/** A node takes the streams of its engines with it. */
export function nodeLost(cause: MeshError): MeshError {
  return new MeshError('ENGINE_LOST', 'The stream broke off before its end.', { cause });
}

/** The engine may be well: whoever asked the router lost it, or the way to it. */
export function routerLost(cause: MeshError): MeshError {
  const message =
    'The router was lost in the middle of the stream. What was delivered is charged. Send the request again.';
  return new MeshError('PEER_UNAVAILABLE', message, { metadata: { peer: 'router' }, retryAfterMs: 1_000, cause });
}

function isStatus(value: unknown): value is StatusObject {
  return typeof value === 'object' && value !== null && 'code' in value && 'metadata' in value;
}

/** grpc-js leaves the details as they came; Connect reads them out of headers. */
function toConnect({ code, details, metadata }: StatusObject): unknown {
  const headers = new Headers({ 'grpc-status': String(code), 'grpc-message': encodeURIComponent(details) });
  const [bytes] = metadata.get(DETAILS);
  if (bytes !== undefined) headers.set(DETAILS, Buffer.from(bytes).toString('base64'));
  return findTrailerError(headers);
}
