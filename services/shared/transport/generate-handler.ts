import type { HandlerContext } from '@connectrpc/connect';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { credentialOf } from '../interceptors/credential.ts';
import { vouchedKey } from '../interceptors/on-behalf-of.ts';
import { traceOf } from '../interceptors/trace-served.ts';
import { abortReason } from './abort-reason.ts';
import { createEventQueue } from './event-queue.ts';
import { exchangeKey } from './exchange.ts';
import { FlowControl } from './flow-control.ts';
import type { Generate } from './generate.ts';
import { requestIdOf } from './mesh-headers.ts';

/** The handler of a server-streaming Generate method. */
export type GenerateHandler = (request: GenerateRequest, context: HandlerContext) => AsyncIterable<GenerationEvent>;

/**
 * Serves the seam as an RPC. The abort hangs on the call's signal alone: while a client does not read, nothing else of the
 * call is ever run.
 */
export function generateHandler(generate: Generate): GenerateHandler {
  return (request, context) => ({ [Symbol.asyncIterator]: () => start(generate, request, context) });
}

function start(generate: Generate, request: GenerateRequest, context: HandlerContext): AsyncIterator<GenerationEvent> {
  const credential = credentialOf(context.requestHeader);
  const aborter = new AbortController();
  const flow = new FlowControl();
  const abort = () => aborter.abort(abortReason(context));
  const queue = createEventQueue(flow, () => context.signal.removeEventListener('abort', abort));
  if (context.signal.aborted) abort();
  else context.signal.addEventListener('abort', abort, { once: true });
  const call = {
    requestId: requestIdOf(context.requestHeader),
    signal: aborter.signal,
    timeoutMs: context.timeoutMs(),
    flow,
    credential,
    onBehalfOf: context.values.get(vouchedKey),
    clientIp: context.values.get(clientIpKey),
    facts: context.values.get(exchangeKey)?.facts,
    trace: traceOf(context),
  };
  generate(request, call, queue.sink);
  return {
    next: queue.next,
    return: () => {
      if (!queue.hasEnded()) abort();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}
