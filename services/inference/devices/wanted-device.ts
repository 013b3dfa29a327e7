import { invalidField, type MeshError } from '../../shared/errors/mesh-error.ts';
import type { DeviceDemand } from '../engines/engine.ts';

/**
 * A demand on the device that a caller names: "auto" or empty (as it is), "cuda" (not on the CPU) or "cuda:<index>".
 *
 * @throws MeshError INVALID_FIELD for one device where several are needed.
 */
export function onWantedDevice(demand: DeviceDemand, wanted: string): DeviceDemand {
  if (wanted === '' || wanted === 'auto') return demand;
  if (wanted === 'cuda') return { ...demand, fallsBackToCpu: false };
  if (demand.count > 1) throw refuseOneDevice(demand.count);
  return { ...demand, indices: [Number(wanted.slice('cuda:'.length))], fallsBackToCpu: false };
}

/** INVALID_FIELD `device` for an engine that needs `count` of them. */
export function refuseOneDevice(count: number): MeshError {
  return invalidField('device', `the engine is split over ${count} devices; leave the field empty`);
}
