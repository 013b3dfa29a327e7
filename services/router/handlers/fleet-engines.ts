import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type InferenceService,
  ListEnginesResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { watchNodes } from '../fleet/watch-nodes.ts';

/** The engines of all nodes. */
export function listFleetEngines(fleet: Fleet): MethodImpl<typeof InferenceService.method.listEngines> {
  return async (_request, call) => create(ListEnginesResponseSchema, { engines: await fleet.engines(call) });
}

/** The engines of all nodes, then their changes. */
export function watchFleetEngines(fleet: Fleet): MethodImpl<typeof InferenceService.method.watchEngines> {
  return (_request, call) => watchNodes(fleet, call);
}
