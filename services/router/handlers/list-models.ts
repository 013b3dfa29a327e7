import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import {
  ListModelsResponseSchema,
  type Model,
  ModelSchema,
  type RouterService,
} from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { isGranted, principalOf } from '../../shared/interceptors/principal.ts';
import type { RouterContext } from '../context.ts';
import type { ModelRoute } from '../fleet/snapshot.ts';

/** The models that the caller may use, the default first. */
export function listModels(context: RouterContext): MethodImpl<typeof RouterService.method.listModels> {
  return (_request, call) => {
    const principal = principalOf(call);
    const { models, route } = context.registry.snapshot;
    const defaultId = route('')?.id;
    const granted = models.filter((model) => isGranted(principal, model));
    return create(ListModelsResponseSchema, {
      models: granted.map((model) => describe(model, model.id === defaultId)),
    });
  };
}

function describe(route: ModelRoute, isDefault: boolean): Model {
  const engines = route.candidates.map((candidate) => candidate.engine);
  const ready = engines.find((engine) => engine.state === EngineState.READY);
  const shown = ready ?? engines[0];
  return create(ModelSchema, {
    id: route.id,
    names: [...route.names],
    ready: ready !== undefined,
    contextTokens: shown?.contextTokens ?? 0,
    engineKind: shown?.kind ?? '',
    isDefault,
    ...(shown?.readyAt ? { createdAt: shown.readyAt } : {}),
  });
}
