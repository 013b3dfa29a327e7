import type { GpuReading } from './gpu-reading.ts';

/** Why a device is not for us. Undefined: it is. */
export type Exclusion = (gpu: GpuReading) => string | undefined;

/**
 * Which devices engines may be placed on. A list in the configuration decides alone. Without one, CUDA_VISIBLE_DEVICES of
 * the mesh's own environment is respected, as batch systems set it: indices in PCI bus order or UUIDs, and like CUDA it ends
 * at the first entry that names no device.
 */
export function exclusionBy(wanted: 'auto' | 'none' | readonly number[], visible: string | undefined): Exclusion {
  const inUse = visible === undefined ? undefined : namesIn(visible);
  return (gpu) => {
    if (gpu.migMode) return 'in MIG mode; slices are listed and never placed on';
    if (wanted === 'none') return 'inference.devices is none';
    if (wanted !== 'auto') return wanted.includes(gpu.index) ? undefined : 'not in inference.devices';
    if (inUse === undefined) return undefined;
    const named = inUse.some(
      (name) => name === String(gpu.index) || (name.startsWith('GPU-') && gpu.uuid.startsWith(name)),
    );
    return named ? undefined : 'not in the CUDA_VISIBLE_DEVICES that the mesh was started with';
  };
}

function namesIn(visible: string): readonly string[] {
  const names = visible.split(',').map((name) => name.trim());
  const end = names.findIndex((name) => !/^(\d+|GPU-.+)$/.test(name));
  return end === -1 ? names : names.slice(0, end);
}
