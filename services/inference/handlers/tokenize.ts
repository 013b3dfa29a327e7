import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { type InferenceService, TokenizeResponseSchema } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { InferenceContext } from '../context.ts';

/** The tokens of a prompt; `model` names the engine on this node. */
export function tokenize(context: InferenceContext): MethodImpl<typeof InferenceService.method.tokenize> {
  return async (request, call) => {
    const { prompt } = request;
    if (!prompt) throw invalidField('prompt', 'is missing');
    const tokenIds = await context.call(request.model, call.signal, (connection) =>
      connection.tokenize(prompt, call.signal),
    );
    const engine = context.engines().find(({ name }) => name === request.model);
    return create(TokenizeResponseSchema, { tokenIds: [...tokenIds], contextTokens: engine?.contextTokens ?? 0 });
  };
}
