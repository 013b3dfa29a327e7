import type { GpuProcess, GpuReading, MigSlice } from './gpu-reading.ts';

/** The columns that `parseGpus` reads, as nvidia-smi names them. */
export const GPU_COLUMNS = 'index,uuid,name,memory.total,memory.used,mig.mode.current,pci.bus_id';

/** The columns that `parseProcesses` reads. */
export const PROCESS_COLUMNS = 'pid,gpu_uuid,used_memory';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** The GPUs in a table without header and units; lines that are no row (nvidia-smi writes errors between them) are passed over. */
export function parseGpus(text: string): GpuReading[] {
  const gpus: GpuReading[] = [];
  for (const cells of rows(text)) {
    if (cells.length < 7) continue;
    const [index = '', uuid = ''] = cells;
    const [total = '', used = '', mig = ''] = cells.slice(-4);
    if (!/^\d+$/.test(index) || !uuid.startsWith('GPU-')) continue;
    gpus.push({
      index: Number(index),
      uuid,
      name: cells.slice(2, -4).join(', '),
      totalBytes: mebibytes(total),
      usedBytes: mebibytes(used),
      migMode: mig === 'Enabled',
    });
  }
  return gpus.sort((one, other) => one.index - other.index);
}

/** The processes in a table without header and units. One process may be on several GPUs. */
export function parseProcesses(text: string): GpuProcess[] {
  const processes: GpuProcess[] = [];
  for (const [processId = '', uuid = '', used = ''] of rows(text)) {
    if (!/^\d+$/.test(processId)) continue;
    processes.push({ processId: Number(processId), uuid, usedBytes: mebibytes(used) });
  }
  return processes;
}

/** The MIG slices in the answer to `nvidia-smi -L`, where they are indented under their GPU. */
export function parseSlices(text: string): MigSlice[] {
  const slices: MigSlice[] = [];
  let parentUuid = '';
  for (const line of text.split('\n')) {
    parentUuid = /^GPU \d+: .*\(UUID: (GPU-[^)]+)\)/.exec(line)?.[1] ?? parentUuid;
    const slice = /^\s+(MIG \S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)/.exec(line);
    if (!slice) continue;
    const [, name = '', uuid = ''] = slice;
    slices.push({ parentUuid, uuid, name, totalBytes: Number(/\.(\d+)gb/.exec(name)?.[1] ?? 0) * GIB });
  }
  return slices;
}

function rows(text: string): string[][] {
  return text.split('\n').map((line) => line.split(',').map((cell) => cell.trim()));
}

/** Undefined for what nvidia-smi writes instead of a number: "[N/A]", "[Not Supported]", "[Insufficient Permissions]". */
function mebibytes(cell: string): number | undefined {
  return /^\d+$/.test(cell) ? Number(cell) * MIB : undefined;
}
