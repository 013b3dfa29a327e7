import type { DeviceDemand } from '../engines/engine.ts';

/** What is booked above what was measured: caches and workspaces grow a little from run to run. */
const HEADROOM = 1.05;

/**
 * A demand with what such a run was measured to take of each device in place of what it was estimated to. A share that is
 * claimed whatever the model needs stays at least that share. Pure.
 */
export function measuredDemand(demand: DeviceDemand, measuredBytes: number | undefined): DeviceDemand {
  if (measuredBytes === undefined) return demand;
  if (demand.claim.kind === 'share') return { ...demand, claim: { ...demand.claim, leastBytes: measuredBytes } };
  // Of one that is unknown and grows nobody can say how far.
  if (demand.growsWithUse && demand.claim.bytes === 0) return demand;
  const roomy = Math.ceil(measuredBytes * HEADROOM);
  const bytes = demand.growsWithUse ? Math.max(demand.claim.bytes, roomy) : roomy;
  return { ...demand, claim: { kind: 'bytes', bytes }, neededBytes: bytes };
}
