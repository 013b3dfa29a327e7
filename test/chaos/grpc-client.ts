import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { FinishReason } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import type { Ending, Sending } from './rest-client.ts';

/** What a mesh refuses with; other codes tell of the connection. */
const REFUSALS: ReadonlySet<Code> = new Set([Code.ResourceExhausted, Code.Unauthenticated, Code.FailedPrecondition]);

/** A text completion over gRPC. */
export async function sendGrpc(transport: Transport, { secret, plan, controller }: Sending): Promise<Ending> {
  const { signal } = controller;
  const headers = { 'x-api-key': secret, 'x-request-id': plan.requestId, 'x-forwarded-for': plan.address };
  const input = { case: 'text' as const, value: JSON.stringify(plan.engine) };
  const request = { model: 'chaos', prompt: { input }, sampling: { maxTokens: plan.maxTokens } };
  let deliveredTokens = 0;
  let reason: FinishReason | undefined;
  let isBilled = false;
  try {
    for await (const { event } of createClient(RouterService, transport).generate(request, { headers, signal })) {
      if (event.case === 'delta') deliveredTokens = event.value.completionTokens;
      if (event.case === 'finished') reason = event.value.reason;
      if (event.case === 'usage') isBilled = true;
      if (plan.leaveAt !== undefined && deliveredTokens >= plan.leaveAt) controller.abort();
    }
  } catch (error) {
    if (signal.aborted) return { outcome: deliveredTokens === plan.engine.waitAt ? 'left' : 'fled', deliveredTokens };
    const isRefused = deliveredTokens === 0 && REFUSALS.has(ConnectError.from(error).code);
    return { outcome: isRefused ? 'refused' : 'broken', deliveredTokens };
  }
  if (!isBilled) return { outcome: 'broken', deliveredTokens };
  return { outcome: reason === FinishReason.QUOTA_EXHAUSTED ? 'exhausted' : 'whole', deliveredTokens };
}
