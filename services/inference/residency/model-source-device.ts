import { invalidField } from '../../shared/errors/mesh-error.ts';
import { refuseOneDevice } from '../devices/wanted-device.ts';
import type { ModelEntry } from '../engines/model-entry.ts';
import type { StartedEntry } from '../engines/process-launch.ts';

const DEVICE = /^(?:|auto|cpu|cuda(?::\d{1,3})?)$/;

/**
 * The entry on the device that a caller names: "auto" or empty (as configured), "cpu", "cuda" (as configured, but not the CPU)
 * or "cuda:<index>".
 *
 * @throws MeshError INVALID_FIELD `device` for an entry that has none of this node, or needs several.
 */
export function entryOnDevice(entry: ModelEntry, wanted: string): ModelEntry {
  if (!DEVICE.test(wanted)) throw invalidField('device', 'must be auto, cpu, cuda or cuda:<index>');
  if (wanted === '' || wanted === 'auto') return entry;
  if (entry.engine === 'openai' || (entry.engine === 'ollama' && entry.base_url !== undefined)) {
    throw invalidField('device', 'the engine is a server elsewhere; leave the field empty');
  }
  if (entry.engine === 'vllm' && entry.ray_address !== undefined) {
    throw invalidField('device', 'the engine runs on a Ray cluster; leave the field empty');
  }
  if (wanted === 'cpu') return withDevices(withoutSpread(entry), []);
  if (wanted === 'cuda') {
    return entry.devices && entry.devices.length > 0 ? entry : { ...withDevices(entry, undefined), ...CUDA_ONLY };
  }
  const count = countOf(entry);
  if (count > 1) throw refuseOneDevice(count);
  return withDevices(entry, [Number(wanted.slice('cuda:'.length))]);
}

const CUDA_ONLY: Pick<StartedEntry, 'cudaOnly'> = { cudaOnly: true };

type Started = Exclude<ModelEntry, { engine: 'openai' }>;

function withDevices(entry: Started, devices: number[] | undefined): Started {
  return { ...entry, devices };
}

/** A split is one over devices. */
function withoutSpread(entry: Started): Started {
  if (entry.engine === 'vllm') return { ...entry, tensor_parallel_size: undefined, pipeline_parallel_size: undefined };
  return 'tensor_parallel_size' in entry ? { ...entry, tensor_parallel_size: undefined } : entry;
}

/** How many devices the entry needs. */
function countOf(entry: Started): number {
  const named = entry.devices?.length ?? 0;
  if (named > 0) return named;
  const split = 'tensor_parallel_size' in entry ? (entry.tensor_parallel_size ?? 1) : 1;
  return entry.engine === 'vllm' ? split * (entry.pipeline_parallel_size ?? 1) : split;
}
