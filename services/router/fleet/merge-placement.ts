import { create } from '@bufbuild/protobuf';
import {
  type ExplainPlacementResponse,
  ExplainPlacementResponseSchema,
} from '../../../gen/mesh/inference/v1/inference_service_pb.ts';

/** Where a model would go on one node. */
export interface NodePlacement {
  readonly node: string;
  readonly placement: ExplainPlacementResponse;
}

/**
 * The places that nodes have for a model, the best first: there is room, on a GPU, on a node that has the files, where the
 * least is left over, so that large models find room elsewhere; where the size is unknown, where the most is free. Pure.
 */
export function bestFirst(placements: readonly NodePlacement[]): NodePlacement[] {
  return placements.toSorted((a, b) => {
    const [one, other] = [rankOf(a), rankOf(b)];
    const at = one.findIndex((value, index) => value !== other[index]);
    return at < 0 ? compare(a.node, b.node) : compare(one[at] ?? 0n, other[at] ?? 0n);
  });
}

/** The answer for all nodes: the best one's, with the candidates of the others after its own, none of them chosen. */
export function mergePlacements(placements: readonly NodePlacement[]): ExplainPlacementResponse {
  const [best, ...others] = bestFirst(placements);
  if (!best) return create(ExplainPlacementResponseSchema, { summary: 'no node takes a model now' });
  const lost = others.flatMap(({ placement }) => placement.candidates.map((one) => ({ ...one, chosen: false })));
  return {
    ...best.placement,
    candidates: [...best.placement.candidates, ...lost],
    summary: summaryOf(best, others),
  };
}

function summaryOf(best: NodePlacement, others: readonly NodePlacement[]): string {
  const told = best.placement.fits ? [best] : [best, ...others];
  return told.map(({ node, placement }) => `node '${node}': ${placement.summary}`).join('; ');
}

/** Smaller is better, the first difference counts. */
function rankOf({ placement }: NodePlacement): bigint[] {
  const { fits, candidates, estimatedBytes } = placement;
  const chosen = candidates.filter((candidate) => candidate.chosen);
  const onGpu = chosen.some(({ device }) => device?.index !== undefined);
  const isKnown = estimatedBytes > 0n;
  const left = chosen.reduce((sum, { freeBytes, claimBytes }) => sum + freeBytes - claimBytes, 0n);
  return [fits ? 0n : 1n, onGpu ? 0n : 1n, isKnown ? 0n : 1n, isKnown ? left : -left];
}

function compare<T extends string | bigint>(a: T, b: T): number {
  return a < b ? -1 : Number(a > b);
}
