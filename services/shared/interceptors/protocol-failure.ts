import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { exchangeKey } from '../transport/exchange.ts';
import type { ErrorMapper } from './errors.ts';
import { noteFailure } from './noted-failure.ts';

/** What a request can be refused with before any interceptor sees it; other codes say that a call was ended. */
const OF_REQUESTS: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.ResourceExhausted,
  Code.Unimplemented,
  Code.Internal,
]);

/**
 * Gives the errors that Connect itself makes of a request, e.g. of a message that is too large or a deadline that is too long, the
 * code and the details that all others have, and notes them. No interceptor meets them, but the signal of the call tells each
 * before it is written.
 */
export function completeFailures(context: HandlerContext, map: ErrorMapper): void {
  const complete = (): void => {
    const { reason } = context.signal;
    if (!(reason instanceof ConnectError) || reason.details.length > 0 || !OF_REQUESTS.has(reason.code)) return;
    const wire = map(reason, context.method, context.requestHeader);
    noteFailure(context.values.get(exchangeKey)?.facts, wire);
    Object.assign(reason, { code: wire.code, details: wire.details });
  };
  context.signal.addEventListener('abort', complete, { once: true });
}
