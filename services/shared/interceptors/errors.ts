import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor, StreamResponse } from '@connectrpc/connect';
import { ConnectError } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { toConnectError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { exchangeKey } from '../transport/exchange.ts';
import { REQUEST_ID_HEADER } from '../transport/mesh-headers.ts';
import { methodName } from './access.ts';
import { noteFailure } from './noted-failure.ts';

/** Any thrown value → ConnectError of ours; a peer's passes unchanged. `traceId` is for its line in the log. */
export type ErrorMapper = (error: unknown, method: DescMethod, header: Headers, traceId?: string) => ConnectError;

/** Makes the way out of handlers. What is our fault is logged with its cause under the request id. */
export function createErrorMapper(log: Logger): ErrorMapper {
  return (error, method, header, traceId) => {
    const wire = toConnectError(error);
    if (isOurFault(error, wire)) {
      const requestId = header.get(REQUEST_ID_HEADER) ?? undefined;
      // Unset it would hide that of the span that is active.
      const ofTrace = traceId === undefined ? {} : { traceId };
      log.error({ err: causeOf(error), requestId, ...ofTrace, method: methodName(method) }, 'an RPC failed');
    }
    return wire;
  };
}

/** The outermost server interceptor: whatever a handler throws is noted for the request log and leaves as the mapper says. */
export function createErrorInterceptor(map: ErrorMapper): Interceptor {
  return (next) => async (req) => {
    const outgoing = (error: unknown) => {
      const facts = req.contextValues.get(exchangeKey)?.facts;
      const wire = map(error, req.method, req.header, facts?.traceId);
      noteFailure(facts, wire);
      return wire;
    };
    try {
      const res = await next(req);
      return res.stream ? { ...res, message: mapErrors(res.message, outgoing) } : res;
    } catch (error) {
      throw outgoing(error);
    }
  };
}

type StreamMessage = StreamResponse['message'] extends AsyncIterable<infer T> ? T : never;

/** Not a generator: this stands in the way of every message of a stream. */
function mapErrors(messages: StreamResponse['message'], map: (error: unknown) => unknown): StreamResponse['message'] {
  return {
    [Symbol.asyncIterator]() {
      const rethrow = (error: unknown): never => {
        throw map(error);
      };
      let iterator: AsyncIterator<StreamMessage>;
      try {
        iterator = messages[Symbol.asyncIterator]();
      } catch (error) {
        return rethrow(error);
      }
      return {
        next: () => iterator.next().catch(rethrow),
        return: async (value) => (await iterator.return?.(value)) ?? { done: true, value },
        throw: async (error) => {
          if (!iterator.throw) throw error;
          return iterator.throw(error).catch(rethrow);
        },
      };
    },
  };
}

/** A ConnectError that came from a peer was logged there. */
function isOurFault(error: unknown, wire: ConnectError): boolean {
  return !(error instanceof ConnectError) && wire.cause instanceof MeshError && wire.cause.reason === 'INTERNAL';
}

function causeOf(error: unknown): unknown {
  return error instanceof MeshError && error.cause !== undefined ? error.cause : error;
}
