import { create, type DescMessage, type Message, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  type ErrorInfo,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from '../../../gen/google/rpc/error_details_pb.ts';
import { LimitReportSchema } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { MeshError } from './mesh-error.ts';
import { ERROR_DOMAIN, isReason, type Reason } from './reasons.ts';

/**
 * The only way out: any error → ConnectError with ErrorInfo, and RetryInfo, QuotaFailure and LimitReport where they
 * apply. A MeshError keeps its message; anything else becomes INTERNAL with a message that tells nothing, its cause
 * kept for the log.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError && ourInfo(error)) return error;
  const known = (error instanceof ConnectError && wrongMessage(error)) || asMeshError(error);
  const info = { reason: known.reason, domain: ERROR_DOMAIN, metadata: { ...known.metadata } };
  const details: { desc: DescMessage; value: Message }[] = [outgoing(ErrorInfoSchema, info)];
  if (known.retryAfterMs !== undefined) {
    details.push(outgoing(RetryInfoSchema, { retryDelay: durationFromMs(known.retryAfterMs) }));
  }
  if (known.code === Code.ResourceExhausted && known.limits.length > 0) {
    details.push(outgoing(QuotaFailureSchema, { violations: [violation(known)] }));
    details.push(outgoing(LimitReportSchema, { limits: [...known.limits] }));
  }
  return new ConnectError(known.message, known.code, undefined, details, known);
}

/** The only way in: an error of a call to a peer → MeshError with the reason that the peer sent. */
export function fromConnectError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  const connect = ConnectError.from(error);
  if (connect.cause instanceof MeshError) return connect.cause;
  const info = ourInfo(connect);
  const delay = connect.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return new MeshError(
    info && isReason(info.reason) ? info.reason : reasonOfCode(connect.code),
    info ? connect.rawMessage : foreignMessage(connect),
    {
      metadata: info?.metadata ?? {},
      limits: connect.findDetails(LimitReportSchema)[0]?.limits ?? [],
      cause: error,
      ...(delay ? { retryAfterMs: durationMs(delay) } : {}),
    },
  );
}

function ourInfo(error: ConnectError): ErrorInfo | undefined {
  return error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === ERROR_DOMAIN);
}

/** What a transport says of a broken connection names addresses; what the protocol says of a request helps its sender. */
function foreignMessage({ code, rawMessage }: ConnectError): string {
  switch (code) {
    case Code.Unavailable:
    case Code.Unknown:
    case Code.Internal:
    case Code.Aborted:
    case Code.Canceled:
    case Code.DataLoss:
      return 'A part of the mesh does not answer. Try again shortly.';
    default:
      return rawMessage;
  }
}

/** Any thrown value → MeshError. What is not ours becomes INTERNAL; an abort becomes CLIENT_GONE. */
export function asMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error;
  if (error instanceof ConnectError) return fromConnectError(error);
  if (error instanceof Error && error.name === 'AbortError') {
    return new MeshError('CLIENT_GONE', 'The caller cancelled.', { cause: error });
  }
  return new MeshError('INTERNAL', 'Internal error. The log has the cause under the request id.', { cause: error });
}

/** What Connect finds wrong with a caller's message; it tells so in words only, and takes what is malformed for a fault of ours. */
function wrongMessage(error: ConnectError): MeshError | undefined {
  const { code, rawMessage } = error;
  if (code === Code.Internal && rawMessage.startsWith('parse binary: ')) {
    return new MeshError('INVALID_FIELD', `The message cannot be read: ${rawMessage}`, { cause: error });
  }
  const limitBytes = code === Code.ResourceExhausted && /readMaxBytes (\d+)/.exec(rawMessage)?.[1];
  if (!limitBytes) return undefined;
  return new MeshError('MESSAGE_TOO_LARGE', rawMessage, { metadata: { limit_bytes: limitBytes }, cause: error });
}

function outgoing<D extends DescMessage>(desc: D, init: MessageInitShape<D>): { desc: D; value: MessageShape<D> } {
  return { desc, value: create(desc, init) };
}

function violation(error: MeshError): { subject: string; description: string; quotaId: string } {
  return { subject: 'caller', description: error.message, quotaId: error.metadata.limit ?? '' };
}

/** For answers that do not come from our own handlers: a broken connection, a proxy in between. */
function reasonOfCode(code: Code): Reason {
  switch (code) {
    case Code.InvalidArgument:
    case Code.OutOfRange:
      return 'INVALID_FIELD';
    case Code.Unauthenticated:
      return 'CREDENTIAL_INVALID';
    case Code.PermissionDenied:
      return 'SCOPE_MISSING';
    case Code.NotFound:
      return 'NOT_FOUND';
    case Code.AlreadyExists:
      return 'ALREADY_EXISTS';
    case Code.ResourceExhausted:
      return 'MESSAGE_TOO_LARGE';
    case Code.DeadlineExceeded:
      return 'DEADLINE_EXCEEDED';
    // Our own aborts carry their MeshError as cause. What else ends a call this way is a connection that broke.
    case Code.Unavailable:
    case Code.Canceled:
    case Code.Aborted:
      return 'PEER_UNAVAILABLE';
    case Code.Unimplemented:
      return 'NOT_IMPLEMENTED';
    case Code.FailedPrecondition:
      return 'CONFLICT';
    default:
      return 'INTERNAL';
  }
}
