import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { ExplainRouteResponseSchema, type RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { RouterContext } from '../context.ts';
import { fallbacksOf, modelNotFound } from '../generate/admission.ts';
import { explain } from '../select/explain.ts';
import { featuresOf } from '../select/features.ts';

/** A dry run of the choice. */
export function explainRoute(context: RouterContext): MethodImpl<typeof RouterService.method.explainRoute> {
  return ({ request = create(GenerateRequestSchema) }, call) => {
    const { snapshot } = context.registry;
    const route = snapshot.route(request.model, request.modelRole);
    if (!route) throw modelNotFound(request.model);
    const fallbacks = request.engine === '' ? fallbacksOf(principalOf(call), route, snapshot) : [];
    const candidates = explain([route, ...fallbacks], featuresOf(request), context.chooser);
    return create(ExplainRouteResponseSchema, { candidates });
  };
}
