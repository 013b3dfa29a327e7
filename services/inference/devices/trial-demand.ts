import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { DeviceDemand } from '../engines/engine.ts';
import type { NamedModel } from '../weights/model-name.ts';
import type { DeviceBook, PlacementExplanation } from './booking.ts';
import { type MemoryEstimate, ModelFilesError } from './vram-estimate.ts';
import { onWantedDevice } from './wanted-device.ts';

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
 * @throws MeshError INVALID_FIELD when the model's files are there and cannot be read, or one device is asked for and several
 * are needed.
 */
export async function tryModel(book: DeviceBook, named: NamedModel, wanted: string): Promise<Trial> {
  const trialOf = (count: number): Promise<Trial> => tryOn(book, named, wanted, count);
  const first = await trialOf(1);
  const many = book.devices().filter(({ index, excluded }) => index !== undefined && excluded === '').length;
  const canSplit = first.estimate !== undefined && !wanted.startsWith('cuda:');
  for (let count = 2; canSplit && !onDevice(first) && count <= many; count *= 2) {
    if (named.kind === 'hub' && first.estimate.heads % count !== 0) break;
    const trial = await trialOf(count);
    if (onDevice(trial)) return trial;
  }
  return first;
}

/** What is estimated: a path, or a name by which the hub's own cache knows it. */
function modelOf(named: NamedModel): string {
  if (named.kind === 'file') return named.path;
  return named.kind === 'hub' ? named.id : (named.path ?? named.reference.text);
}

function onDevice({ explanation }: Trial): boolean {
  return explanation.candidates.some(({ device, chosen }) => chosen && device.index !== undefined);
}

async function tryOn(book: DeviceBook, named: NamedModel, wanted: string, count: number): Promise<Trial> {
  let estimate: MemoryEstimate | undefined;
  try {
    estimate = await book.estimate({ model: modelOf(named), tensorParallel: count });
  } catch (error) {
    if (!(error instanceof ModelFilesError)) throw error;
    throw invalidField('model', error.message);
  }
  const neededBytes = estimate?.perDeviceBytes ?? 0;
  const claim = { kind: 'bytes', bytes: neededBytes } as const;
  const fallsBackToCpu = named.kind !== 'hub';
  const demand = onWantedDevice({ count, claim, neededBytes, shares: false, fallsBackToCpu }, wanted);
  return { demand, explanation: book.explain(demand), estimate };
}
