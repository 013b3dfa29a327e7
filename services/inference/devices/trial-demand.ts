import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import type { DeviceBook, PlacementExplanation } from './booking.ts';
import { isHubName } from './model-files.ts';
import { type MemoryEstimate, ModelFilesError } from './vram-estimate.ts';
import { onWantedDevice } from './wanted-device.ts';

/** The same words for a file that is not there and one that is no model: a caller must not learn of other files. */
const NO_GGUF = 'there is no GGUF file that can be read at this path';

/** A dry run for a model that no entry names. */
export interface Trial {
  readonly demand: DeviceDemand;
  readonly explanation: PlacementExplanation;
  /** Unset: the size is unknown. */
  readonly estimate: MemoryEstimate | undefined;
}

/**
 * Tries a model on one device, then split over 2, 4 and so on, as far as its attention heads can be divided; the smallest split
 * that fits, else what one device says.
 *
 * @throws MeshError INVALID_FIELD for a name that is none, when the model's files are there and cannot be read, or a GGUF is
 * not there.
 */
export async function tryModel(book: DeviceBook, model: string, wanted: string): Promise<Trial> {
  if (!model.endsWith('.gguf') && !isHubName(model)) {
    throw invalidField('model', 'is no configured engine, no path of a GGUF file and no name as <user>/<repo>');
  }
  const isGguf = namesGguf(model);
  const first = await tryOn(book, model, wanted, 1);
  if (model.endsWith('.gguf') && !first.estimate) throw invalidField('model', NO_GGUF);
  const many = book.devices().filter(({ index, excluded }) => index !== undefined && excluded === '').length;
  const canSplit = first.estimate !== undefined && !wanted.startsWith('cuda:');
  for (let count = 2; canSplit && !onDevice(first) && count <= many; count *= 2) {
    if (!isGguf && first.estimate.heads % count !== 0) break;
    const trial = await tryOn(book, model, wanted, count);
    if (onDevice(trial)) return trial;
  }
  return first;
}

function namesGguf(model: string): boolean {
  return model.endsWith('.gguf') || model.startsWith('hf:');
}

function onDevice({ explanation }: Trial): boolean {
  return explanation.candidates.some(({ device, chosen }) => chosen && device.index !== undefined);
}

async function tryOn(book: DeviceBook, model: string, wanted: string, count: number): Promise<Trial> {
  let estimate: MemoryEstimate | undefined;
  try {
    estimate = await book.estimate({ model, tensorParallel: count });
  } catch (error) {
    if (!(error instanceof ModelFilesError)) throw error;
    throw invalidField('model', model.endsWith('.gguf') ? NO_GGUF : error.message);
  }
  const neededBytes = estimate?.perDeviceBytes ?? 0;
  const claim = { kind: 'bytes', bytes: neededBytes } as const;
  const fallsBackToCpu = namesGguf(model);
  const demand = onWantedDevice({ count, claim, neededBytes, shares: false, fallsBackToCpu }, wanted);
  return { demand, explanation: book.explain(demand), estimate };
}
