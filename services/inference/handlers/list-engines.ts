import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type InferenceService,
  ListEnginesResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { InferenceContext } from '../context.ts';
import { visibleEngine } from './visible-engine.ts';

/** Every engine of this node. */
export function listEngines(context: InferenceContext): MethodImpl<typeof InferenceService.method.listEngines> {
  return (_request, call) => {
    const principal = principalOf(call);
    const engines = context
      .engines()
      .map((engine) => ({ node: context.node, engine: visibleEngine(engine, principal) }));
    return create(ListEnginesResponseSchema, { engines });
  };
}
