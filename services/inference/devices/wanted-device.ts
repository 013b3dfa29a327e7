import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { DeviceDemand } from '../engines/engine.ts';

/**
 * A demand on the device that a caller names: "auto" or empty (as it is), "cuda" (not on the CPU) or "cuda:<index>".
 *
 * @throws MeshError INVALID_FIELD for one device where several are needed.
 */
export function onWantedDevice(demand: DeviceDemand, wanted: string): DeviceDemand {
  if (wanted === '' || wanted === 'auto') return demand;
  if (wanted === 'cuda') return { ...demand, fallsBackToCpu: false };
  if (demand.count > 1) {
    throw invalidField('device', `the engine is split over ${demand.count} devices; leave the field empty`);
  }
  return { ...demand, indices: [Number(wanted.slice('cuda:'.length))], fallsBackToCpu: false };
}
