import { create } from '@bufbuild/protobuf';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type InferenceService,
  ListDevicesResponseSchema,
  type NodeProblem,
  NodeProblemSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { MeshError } from '../../shared/errors/mesh-error.ts';
import { DEVICES_LIMIT_MS, explainOnNodes } from '../fleet/explain.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { mergePlacements } from '../fleet/merge-placement.ts';

/** The devices of all nodes; a node that does not answer is a problem beside them. */
export function listFleetDevices(fleet: Fleet): MethodImpl<typeof InferenceService.method.listDevices> {
  return async (_request, call) => {
    const told = await fleet.askAll(call, DEVICES_LIMIT_MS, (client, options) => client.listDevices({}, options));
    return create(ListDevicesResponseSchema, {
      devices: told.flatMap(({ answer }) => answer?.devices ?? []),
      problems: told.flatMap(({ node, answer, error }) => answer?.problems ?? problemOf(node.node, error)),
    });
  };
}

/** A dry run of placing a model on each node. */
export function explainFleetPlacement(fleet: Fleet): MethodImpl<typeof InferenceService.method.explainPlacement> {
  return async (request, call) => mergePlacements(await explainOnNodes(fleet, request, call));
}

function problemOf(node: string, error: MeshError | undefined): NodeProblem[] {
  if (!error) return [];
  // What a transport says of a node that does not answer is for callers who named none.
  const isSilent = error.reason === 'DEADLINE_EXCEEDED' || error.reason === 'PEER_UNAVAILABLE';
  const what = isSilent ? 'The node does not answer. Look at its process and network.' : error.message;
  return [create(NodeProblemSchema, { node, what })];
}
