import type { Device } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { PlacementCandidate } from './booking.ts';
import { inWords } from './byte-words.ts';
import type { DeviceView } from './device-view.ts';
import type { Entry } from './ledger.ts';
import { freeBytes, type PlacementDecision } from './placement.ts';

/** The devices of a decision as callers see them, with those that placement does not look at. */
export function candidatesOf(
  decision: PlacementDecision<DeviceView>,
  beside: { readonly slices: readonly Device[]; readonly cpu: Device | undefined },
): PlacementCandidate[] {
  const devices = decision.verdicts.map(({ device, chosen, why, freeBytes, claimBytes }) => {
    return { device: device.message, chosen, why, freeBytes, claimBytes };
  });
  const slices = beside.slices.map((device) => aside(device, false, device.excluded));
  if (!beside.cpu) return [...devices, ...slices];
  const onCpu = decision.outcome === 'cpu';
  const cpu = aside(beside.cpu, onCpu, onCpu ? decision.why : 'a CUDA device has room');
  return onCpu ? [cpu, ...devices, ...slices] : [...devices, ...slices, cpu];
}

function aside(device: Device, chosen: boolean, why: string): PlacementCandidate {
  return { device, chosen, why, freeBytes: 0, claimBytes: 0 };
}

/** The decision that was made already, for an engine that has its place. */
export function currentPlace(views: readonly DeviceView[], entry: Entry): PlacementDecision<DeviceView> {
  const where = entry.booking.devices.length === 0 ? 'the CPU' : `CUDA device ${entry.booking.devices.join(', ')}`;
  const verdicts = views.map((device) => {
    const claimBytes = entry.booking.bytes.get(device.uuid) ?? 0;
    const chosen = entry.booking.bytes.has(device.uuid);
    const why = chosen ? `it has its place here: ${inWords(claimBytes)} booked` : `it has its place on ${where}`;
    return { device, chosen, why, freeBytes: freeBytes(device), claimBytes };
  });
  verdicts.sort((one, other) => Number(other.chosen) - Number(one.chosen));
  return {
    outcome: entry.booking.devices.length === 0 ? 'cpu' : 'devices',
    chosen: verdicts.filter(({ chosen }) => chosen),
    verdicts,
    why: `it has its place on ${where}`,
  };
}
