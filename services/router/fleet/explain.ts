import type { HandlerContext } from '@connectrpc/connect';
import type { ExplainPlacementRequest } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { Fleet } from './fleet.ts';
import type { NodePlacement } from './merge-placement.ts';

/** Longest wait for what a node must ask its driver first, in milliseconds: a little more than the driver gets. */
export const DEVICES_LIMIT_MS = 25_000;

/**
 * Where a model would go on each node that takes something new. Nodes that cannot say are left out.
 *
 * @throws MeshError of the first node when none can, e.g. INVALID_FIELD.
 */
export async function explainOnNodes(
  fleet: Fleet,
  { model, device }: Pick<ExplainPlacementRequest, 'model' | 'device'>,
  call: HandlerContext,
): Promise<NodePlacement[]> {
  const answers = await fleet.askAll(
    call,
    DEVICES_LIMIT_MS,
    (client, options) => client.explainPlacement({ model, device }, options),
    fleet.open(),
  );
  const placements: NodePlacement[] = [];
  for (const { node, answer } of answers) if (answer) placements.push({ node: node.node, placement: answer });
  const error = answers.find((told) => told.error)?.error;
  if (placements.length === 0 && error) throw error;
  return placements;
}
