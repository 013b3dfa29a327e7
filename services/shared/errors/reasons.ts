import { Code } from '@connectrpc/connect';
import type { ErrorReason } from '../../../gen/mesh/errors/v1/error_reason_pb.ts';

type NumericMember = Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>;

/** The stable reason of an error, as it stands in `google.rpc.ErrorInfo.reason`. See `mesh.errors.v1.ErrorReason`. */
export type Reason = NumericMember;

/** The domain of every `ErrorInfo` of the mesh. */
export const ERROR_DOMAIN = 'inference-mesh';

/** The RPC code that each reason travels with; the contract states it per value. */
export const CODE_OF_REASON: Readonly<Record<Reason, Code>> = {
  INVALID_FIELD: Code.InvalidArgument,
  UNSUPPORTED_FIELD: Code.InvalidArgument,
  CONTEXT_LENGTH_EXCEEDED: Code.InvalidArgument,
  CREDENTIAL_MISSING: Code.Unauthenticated,
  CREDENTIAL_INVALID: Code.Unauthenticated,
  CREDENTIAL_CONFLICT: Code.InvalidArgument,
  SCOPE_MISSING: Code.PermissionDenied,
  MODEL_NOT_GRANTED: Code.PermissionDenied,
  PEER_ONLY: Code.PermissionDenied,
  MODEL_NOT_FOUND: Code.NotFound,
  MODEL_NOT_LOADED: Code.Unavailable,
  NO_HEALTHY_ENGINE: Code.Unavailable,
  ENGINE_LOST: Code.Unavailable,
  ENGINE_FAILED: Code.Internal,
  ENGINE_BUSY: Code.Unavailable,
  QUEUE_FULL: Code.Unavailable,
  RATE_LIMIT_EXCEEDED: Code.ResourceExhausted,
  TOKEN_BUDGET_SPENT: Code.ResourceExhausted,
  RESERVATION_NOT_FOUND: Code.NotFound,
  RESERVATION_ENDED: Code.FailedPrecondition,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  CLIENT_STALLED: Code.Canceled,
  CLIENT_GONE: Code.Canceled,
  STORE_UNAVAILABLE: Code.Unavailable,
  PEER_UNAVAILABLE: Code.Unavailable,
  SHUTTING_DOWN: Code.Unavailable,
  NOT_IMPLEMENTED: Code.Unimplemented,
  INTERNAL: Code.Internal,
  NOT_FOUND: Code.NotFound,
  ALREADY_EXISTS: Code.AlreadyExists,
  CONFLICT: Code.FailedPrecondition,
  MESSAGE_TOO_LARGE: Code.ResourceExhausted,
};

/** Whether a string from the wire is a reason that this build knows. */
export function isReason(value: string): value is Reason {
  return Object.hasOwn(CODE_OF_REASON, value);
}
