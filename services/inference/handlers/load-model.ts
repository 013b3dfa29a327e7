import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { type InferenceService, LoadModelResponseSchema } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { InferenceContext } from '../context.ts';
import { visibleEngine } from './visible-engine.ts';

/** Loads a model of this node and tells every change until it is ready. */
export function loadModel(context: InferenceContext): MethodImpl<typeof InferenceService.method.loadModel> {
  return async function* (request, call) {
    requireHere(context, request.node);
    const principal = principalOf(call);
    const startedAtMs = performance.now();
    for await (const engine of context.load(request, call.signal)) {
      const elapsed = durationFromMs(Math.round(performance.now() - startedAtMs));
      yield create(LoadModelResponseSchema, { engine: visibleEngine(engine, principal), elapsed, node: context.node });
    }
  };
}

/** @throws MeshError NOT_FOUND when another node is meant. */
export function requireHere({ node }: Pick<InferenceContext, 'node'>, wanted: string): void {
  if (wanted === '' || wanted === node) return;
  throw new MeshError('NOT_FOUND', `No node '${wanted}' here.`, { metadata: { kind: 'node', id: wanted } });
}
