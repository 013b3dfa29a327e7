import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HandlerContext, MethodImpl } from '@connectrpc/connect';
import type { EmbedRequest, EmbedResponseSchema } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { credentialMissing } from '../../shared/interceptors/authorize.ts';
import { clientIpKey } from '../../shared/interceptors/client-ip.ts';
import { PEER_PRINCIPAL, principalOf } from '../../shared/interceptors/principal.ts';
import { requestIdOf } from '../../shared/transport/mesh-headers.ts';
import type { RouterContext } from '../context.ts';
import type { Candidate, ModelRoute } from '../fleet/snapshot.ts';
import { admit } from '../generate/admission.ts';
import { LONGEST_CONTEXT_TOKENS } from '../generate/demand.ts';
import type { GenerationRecord } from '../generate/generation-record.ts';
import { promptTextBound } from '../generate/prompt-bound.ts';
import type { Lease } from '../generate/settle.ts';
import { observedCall } from '../unary/observed-call.ts';
import { onEngine } from '../unary/on-engine.ts';

/** Vectors: reserves one request and the most that its inputs can be, and charges what the engine counts. */
export function embed(context: RouterContext): MethodImpl<typeof RouterService.method.embed> {
  return (request, call) =>
    observedCall(context, { operation: 'embeddings', modelAsked: request.model, call }, (record) =>
      embedOn(context, request, { call, record }),
    );
}

async function embedOn(
  context: RouterContext,
  request: EmbedRequest,
  { call, record }: { call: HandlerContext; record: GenerationRecord },
): Promise<MessageInitShape<typeof EmbedResponseSchema>> {
  const route = admit(principalOf(call), { model: request.model, engine: '' }, context.registry.snapshot);
  let lease: Lease | undefined;
  let engine = '';
  try {
    const { answer, candidate } = await onEngine(context.unary, call, {
      ...{ route, record },
      ability: 'embeddings',
      tokens: boundOf(request, 0),
      takesPlace: true,
      onChosen: async (chosen) => {
        engine = chosen.engine.name;
        lease = await reserve(context, request, { route, chosen, call });
      },
      ask: (client, { engine: { name } }, options) => client.embed({ ...request, model: name }, options),
    });
    record.promptTokens = answer.promptTokens;
    if (answer.engineSeconds !== undefined) record.engineMs = answer.engineSeconds * 1_000;
    lease?.settle({ promptTokens: answer.promptTokens, completionTokens: 0, engine: candidate.engine.name });
    return { ...answer, engine, queueSeconds: record.queuedMs / 1_000, limits: [...(lease?.limits ?? [])] };
  } finally {
    // Without effect on what was settled. Who leaves while the engine computes has used it: the request stays counted.
    if (call.signal.aborted) lease?.settle({ promptTokens: 0, completionTokens: 0, engine });
    else lease?.release();
  }
}

function reserve(
  { settlement }: RouterContext,
  request: EmbedRequest,
  { route, chosen, call }: { route: ModelRoute; chosen: Candidate; call: HandlerContext },
): Promise<Lease> {
  const principal = principalOf(call);
  // Somebody must be charged.
  if (principal === PEER_PRINCIPAL) throw credentialMissing();
  return settlement.reserve({
    // Callers may choose the request id: a repeated one must not pass as a repetition of the same reservation.
    reservationId: `${requestIdOf(call.requestHeader)}:${randomUUID()}`,
    principal,
    clientIp: call.values.get(clientIpKey) ?? '',
    model: route.id,
    modelNames: [...route.names],
    engine: chosen.engine.name,
    promptTokens: boundOf(request, chosen.engine.contextTokens),
    maxCompletionTokens: 0,
  });
}

/** The most that the inputs can be together, in tokens; an engine takes none that is longer than its context. */
function boundOf({ inputs }: EmbedRequest, contextTokens: number): number {
  const context = contextTokens || LONGEST_CONTEXT_TOKENS;
  let tokens = 0;
  for (const prompt of inputs) tokens += Math.min(promptTextBound(prompt), context);
  return tokens;
}
