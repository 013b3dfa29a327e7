import type { HandlerContext } from '@connectrpc/connect';
import type { Authorizer } from '../interceptors/authorize.ts';
import { certifiedRolesKey } from '../interceptors/certified-roles.ts';
import { noteFailure } from '../interceptors/noted-failure.ts';
import type { RequestFacts } from '../observability/request-facts.ts';
import type { RequestLog } from '../observability/request-log.ts';
import { exchangeKey, type NodeResponse } from './exchange.ts';

/** What a client that left before the end of its answer has as status; it is logged, never sent. */
const CLIENT_GONE = 499;

/** Writes the line of a request when its response is over, however that came. What peers ask has its line where it came from. */
export function writeWhenOver(requestLog: RequestLog, facts: RequestFacts, response: NodeResponse): void {
  let isComplete = false;
  ('stream' in response ? response.stream : response).once('finish', () => {
    isComplete = true;
  });
  const write = (): void => {
    if (!facts.isOfPeer) requestLog.write(facts, isComplete ? response.statusCode : (facts.status ?? CLIENT_GONE));
  };
  response.once('close', () => {
    if (isComplete) return write();
    // Whoever makes the answer hears of it after us, and may know better why it was cut off.
    setImmediate(() => {
      facts.reason ??= 'CLIENT_GONE';
      write();
    });
  });
}

/** Over which protocol an RPC came, by the type of its body. */
export function rpcProtocolOf(contentType = ''): 'grpc' | 'grpc-web' | 'connect' {
  if (contentType.startsWith('application/grpc-web')) return 'grpc-web';
  return contentType.startsWith('application/grpc') ? 'grpc' : 'connect';
}

/** The authorizer's gate, with who asks and why it was refused noted. */
export async function notedGate(authorizer: Authorizer, context: HandlerContext): Promise<void> {
  const facts = context.values.get(exchangeKey)?.facts;
  if (facts) facts.isOfPeer = authorizer.isFromPeer(context.requestHeader, context.values.get(certifiedRolesKey));
  try {
    await authorizer.gate(context);
  } catch (error) {
    noteFailure(facts, error);
    throw error;
  }
}
