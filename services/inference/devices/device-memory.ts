import type { DriverReading, GpuReading } from './gpu-reading.ts';

/** A process that is not ours. */
export interface ForeignProcess {
  readonly processId: number;
  /** Of the device. Unset: the driver does not tell. */
  readonly usedBytes: number | undefined;
}

/** What one look at the driver says about the memory of one device. */
export interface DeviceMemory {
  readonly usedBytes: number;
  /** Processes that are not ours, by process id. */
  readonly foreignProcesses: readonly ForeignProcess[];
  /** What those are told to use; the driver does not tell it everywhere. */
  readonly foreignProcessBytes: number;
  /** What our processes use. Unset: none of ours is listed, or the driver does not tell for each. */
  readonly ownBytes: number | undefined;
}

/** Divides the memory of a device between our processes and others. */
export function memoryOf(gpu: GpuReading, reading: DriverReading, own: Pick<ReadonlySet<number>, 'has'>): DeviceMemory {
  const processes = reading.processes.filter(({ uuid }) => uuid === gpu.uuid);
  const ours = processes.filter(({ processId }) => own.has(processId));
  const foreign = processes.filter(({ processId }) => !own.has(processId));
  const told = ours.length > 0 && ours.every(({ usedBytes }) => usedBytes !== undefined);
  return {
    usedBytes: gpu.usedBytes ?? 0,
    foreignProcesses: byProcess(foreign),
    foreignProcessBytes: sumOf(foreign),
    ownBytes: told ? sumOf(ours) : undefined,
  };
}

/** One entry per process: one that uses several MIG slices is told several times. */
function byProcess(processes: readonly ForeignProcess[]): ForeignProcess[] {
  return [...Map.groupBy(processes, ({ processId }) => processId)]
    .map(([processId, rows]) => {
      const isTold = rows.some(({ usedBytes }) => usedBytes !== undefined);
      return { processId, usedBytes: isTold ? sumOf(rows) : undefined };
    })
    .sort((one, other) => one.processId - other.processId);
}

function sumOf(processes: readonly { readonly usedBytes: number | undefined }[]): number {
  return processes.reduce((sum, { usedBytes }) => sum + (usedBytes ?? 0), 0);
}

/** What a device holds apart from the processes of others: the driver's own, and what engines use. */
export function heldBytes({ usedBytes, foreignProcessBytes }: DeviceMemory): number {
  return Math.max(0, usedBytes - foreignProcessBytes);
}

/**
 * What of a device is not in the hands of the engines that have booked it, in bytes.
 *
 * @param heldBefore what it held before its first booking. Undefined: it is not booked, so everything is foreign.
 */
export function foreignBytes(memory: DeviceMemory, heldBefore: number | undefined): number {
  if (heldBefore === undefined) return memory.usedBytes;
  if (memory.ownBytes !== undefined) return Math.max(0, memory.usedBytes - memory.ownBytes);
  // None of ours is told of: they only start, or the driver tells of no process, as in a container.
  return Math.min(memory.usedBytes, heldBefore + memory.foreignProcessBytes);
}
