import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type InferenceService,
  UnloadModelResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { InferenceContext } from '../context.ts';
import { requireHere } from './load-model.ts';
import { visibleEngine } from './visible-engine.ts';

/** Unloads a model of this node; answers when nothing of it is left. */
export function unloadModel(context: InferenceContext): MethodImpl<typeof InferenceService.method.unloadModel> {
  return async ({ model, node }, call) => {
    requireHere(context, node);
    const principal = principalOf(call);
    const engines = (await context.unload(model)).map((engine) => ({
      node: context.node,
      engine: visibleEngine(engine, principal),
    }));
    return create(UnloadModelResponseSchema, { engines });
  };
}
