import type { MethodImpl } from '@connectrpc/connect';
import type { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { RouterContext } from '../context.ts';
import { admit } from '../generate/admission.ts';
import { promptTextBound } from '../generate/prompt-bound.ts';
import { observedCall } from '../unary/observed-call.ts';
import { onEngine } from '../unary/on-engine.ts';

/** The tokens of a prompt; no quota is asked. */
export function tokenize(context: RouterContext): MethodImpl<typeof RouterService.method.tokenize> {
  return (request, call) =>
    observedCall(context, { operation: 'tokenize', modelAsked: request.model, call }, async (record) => {
      const route = admit(principalOf(call), { model: request.model, engine: '' }, context.registry.snapshot);
      const { answer } = await onEngine(context.unary, call, {
        ...{ route, record },
        ability: 'tokenize',
        takesPlace: false,
        tokens: promptTextBound(request.prompt),
        ask: (client, { engine }, options) => client.tokenize({ ...request, model: engine.name }, options),
      });
      return answer;
    });
}
