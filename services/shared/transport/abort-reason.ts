import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { MeshError } from '../errors/mesh-error.ts';
import { exchangeKey } from './exchange.ts';
import { isStalled } from './write-stall.ts';

/** A client ends a call at its own deadline, which comes this much earlier than ours, in milliseconds. */
const DEADLINE_SLACK_MS = 50;

/** Why a call was aborted. A signal's own reason depends on the protocol, so it is worked out from what is known. */
export function abortReason(context: HandlerContext): MeshError {
  const { reason } = context.signal;
  if (reason instanceof ConnectError && reason.cause instanceof MeshError) return reason.cause;
  const exchange = context.values.get(exchangeKey);
  if (exchange && isStalled(exchange.response)) {
    return new MeshError('CLIENT_STALLED', 'The client did not read the stream for too long.');
  }
  const isLate = reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
  if (isLate || (context.timeoutMs() ?? Number.POSITIVE_INFINITY) <= DEADLINE_SLACK_MS) {
    return new MeshError('DEADLINE_EXCEEDED', "The call's deadline passed.", { metadata: { limit: 'total' } });
  }
  return new MeshError('CLIENT_GONE', 'The caller cancelled.');
}
