import type { DeviceDemand } from '../engines/engine.ts';
import { inWords } from './byte-words.ts';

/** What an engine of this mesh has of a device. */
export interface DeviceBooking {
  readonly engine: string;
  readonly bytes: number;
  readonly shares: boolean;
  /** Its engine sleeps: it keeps nobody away, apart from the little that it still holds. */
  readonly sleeps?: boolean | undefined;
  /** It has ended: why the device is not free all the same, in words. */
  readonly endedWhy?: string | undefined;
}

/** What another mesh of this host has of a device. */
export interface DeviceClaim {
  readonly ownerProcessId: number;
  /** Only its engine is there yet. */
  readonly ownerHasEnded: boolean;
  readonly bytes: number;
  readonly shares: boolean;
}

/** A device as placement sees it. */
export interface PlaceableDevice {
  /** CUDA index in PCI bus order. */
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly totalBytes: number;
  /** What all processes use now. */
  readonly usedBytes: number;
  /** What is used by others than the engines that have booked and those of the meshes that claim it. */
  readonly foreignBytes: number;
  /** The ids of processes on it that are neither ours nor of the meshes that claim it. */
  readonly foreignProcesses: readonly number[];
  readonly bookings: readonly DeviceBooking[];
  /** What other meshes of this host claim of it. */
  readonly claims: readonly DeviceClaim[];
  /** Why no engine is ever placed on it, in words. Unset: engines are. */
  readonly excluded?: string | undefined;
}

/** A device and why it was or was not chosen. */
export interface DeviceVerdict<D extends PlaceableDevice = PlaceableDevice> {
  readonly device: D;
  readonly chosen: boolean;
  readonly why: string;
  readonly freeBytes: number;
  readonly claimBytes: number;
}

/** What a demand gets. */
export interface PlacementDecision<D extends PlaceableDevice = PlaceableDevice> {
  readonly outcome: 'devices' | 'cpu' | 'refused';
  /** The chosen devices in the order in which the engine gets them. */
  readonly chosen: readonly DeviceVerdict<D>[];
  /** Every device: the chosen, then those with room, best first, then the others. */
  readonly verdicts: readonly DeviceVerdict<D>[];
  /** The decision in one line. */
  readonly why: string;
}

/** How many processes of others are named in a reason. */
const NAMED_PROCESSES = 5;

/** What could be claimed of a device: what neither a booking nor, beside the bookings, anybody else takes. */
export function freeBytes(device: PlaceableDevice): number {
  const booked = [...device.bookings, ...device.claims].reduce((sum, { bytes }) => sum + bytes, 0);
  return Math.max(0, device.totalBytes - Math.max(device.usedBytes, booked + device.foreignBytes));
}

/** What a demand claims of a device: of one whose need is unknown (0) all that is free. */
function claimBytes(device: PlaceableDevice, demand: DeviceDemand): number {
  if (demand.claim.kind === 'share') {
    const { share, leastBytes = 0 } = demand.claim;
    return Math.min(device.totalBytes, Math.max(Math.ceil(share * device.totalBytes), leastBytes));
  }
  return demand.claim.bytes === 0 ? freeBytes(device) : Math.ceil(demand.claim.bytes);
}

/** Why a demand cannot have a device. Undefined: it can. */
function obstacle(device: PlaceableDevice, demand: DeviceDemand): string | undefined {
  if (device.excluded !== undefined) return device.excluded;
  const ended = device.bookings.filter(({ endedWhy }) => endedWhy !== undefined);
  if (ended.length > 0)
    return ended.map(({ engine, endedWhy }) => `held by '${engine}', which has ended: ${endedWhy}`).join('; ');
  const others = takersOf(device);
  if (others.length > 0 && !demand.shares) return `${inOneLine(others)}, and share_devices is not set`;
  const alone = others.filter(({ shares }) => !shares);
  if (alone.length > 0) return `${inOneLine(alone)} alone`;
  const unknown = demand.claim.kind === 'bytes' && demand.claim.bytes === 0;
  if (unknown && others.length > 0) return `${inOneLine(others)}, and an engine of unknown size cannot share`;
  const free = freeBytes(device);
  const claim = claimBytes(device, demand);
  if (claim < demand.neededBytes) {
    return `about ${inWords(demand.neededBytes)} are needed, and the engine would claim only ${inWords(claim)} of it`;
  }
  if (claim > free || free === 0) {
    return `${inWords(claim)} are claimed, and of ${inWords(device.totalBytes)} only ${inWords(free)} are free${takenBy(device)}`;
  }
  return undefined;
}

interface Taker {
  /** Begins with what it did: "booked by 'chat'". */
  readonly what: string;
  readonly shares: boolean;
}

function takersOf({ bookings, claims }: PlaceableDevice): Taker[] {
  return [
    ...bookings
      .filter(({ sleeps }) => !sleeps)
      .map(({ engine, shares }) => ({ what: `booked by '${engine}'`, shares })),
    ...claims.map((claim) => ({
      what: `claimed by ${claimant(claim)}, ${inWords(claim.bytes)}`,
      shares: claim.shares,
    })),
  ];
}

function claimant({ ownerProcessId, ownerHasEnded }: DeviceClaim): string {
  const ended = ownerHasEnded ? ', which has ended and whose engine has not' : '';
  return `another mesh (process ${ownerProcessId}${ended})`;
}

function inOneLine(takers: readonly Taker[]): string {
  return takers.map(({ what }) => what).join(' and ');
}

function takenBy(device: PlaceableDevice): string {
  const takers = [
    ...device.bookings.map(({ engine, bytes }) => `'${engine}' has booked ${inWords(bytes)}`),
    ...device.claims.map((claim) => `${claimant(claim)} claims ${inWords(claim.bytes)}`),
  ];
  if (device.foreignBytes > 0) {
    const ids = foreignersOn(device);
    const bytes = inWords(device.foreignBytes);
    takers.push(ids === '' ? `others use ${bytes}` : `processes not of this mesh use ${bytes}: ${ids}`);
  }
  return takers.length === 0 ? '' : ` (${takers.join(', ')})`;
}

/** The ids of the processes of others on a device, e.g. "17, 18". Empty: none is known. */
function foreignersOn({ foreignProcesses }: PlaceableDevice): string {
  const more = foreignProcesses.length - NAMED_PROCESSES;
  const named = foreignProcesses.slice(0, NAMED_PROCESSES).join(', ');
  return more > 0 ? `${named} and ${more} more` : named;
}

/**
 * Decides where an engine goes: on the devices that its entry names, else on the best that have room. The best are alike,
 * without processes of others, and have the least left afterwards; of unknown size, those with the most free.
 */
export function place<D extends PlaceableDevice>(devices: readonly D[], demand: DeviceDemand): PlacementDecision<D> {
  const judged = devices.map((device) => {
    const judgement = { device, freeBytes: freeBytes(device), claimBytes: claimBytes(device, demand) };
    const named = demand.indices === undefined || demand.indices.includes(device.index);
    return { ...judgement, problem: named ? obstacle(device, demand) : 'not among the devices that the entry names' };
  });
  const fitting = judged.filter(({ problem }) => problem === undefined).sort(byFit(demand));
  const chosen = demand.indices ? inOrder(demand.indices, fitting) : bestGroup(fitting, demand.count);
  const enough = chosen.length === demand.count && new Set(chosen).size === demand.count;
  const verdicts = [
    ...(enough ? chosen.map((one) => verdict(one, true, reasonToChoose(one, demand))) : []),
    ...fitting
      .filter((one) => !enough || !chosen.includes(one))
      .map((one) =>
        verdict(one, false, enough ? whyBehind(one) : `has room, but ${demand.count} such devices are needed`),
      ),
    ...judged.filter(({ problem }) => problem !== undefined).map((one) => verdict(one, false, one.problem ?? '')),
  ];
  if (enough) {
    const chosenVerdicts = verdicts.slice(0, demand.count);
    const where = chosenVerdicts.map(({ device }) => device.index).join(', ');
    return { outcome: 'devices', chosen: chosenVerdicts, verdicts, why: `on CUDA device ${where}` };
  }
  const missing = refusal(verdicts, demand);
  if (demand.fallsBackToCpu) return { outcome: 'cpu', chosen: [], verdicts, why: `on the CPU: ${missing}` };
  return { outcome: 'refused', chosen: [], verdicts, why: `${missing}. ${advice(demand, devices.length > 0)}` };
}

type Judged<D extends PlaceableDevice> = Omit<DeviceVerdict<D>, 'chosen' | 'why'> & {
  readonly problem?: string | undefined;
};

function verdict<D extends PlaceableDevice>(judged: Judged<D>, chosen: boolean, why: string): DeviceVerdict<D> {
  const { device, freeBytes, claimBytes } = judged;
  return { device, chosen, why, freeBytes, claimBytes };
}

function byFit(demand: DeviceDemand): (one: Judged<PlaceableDevice>, other: Judged<PlaceableDevice>) => number {
  const left = ({ freeBytes, claimBytes }: Judged<PlaceableDevice>): number =>
    demand.neededBytes === 0 ? -freeBytes : freeBytes - claimBytes;
  const isShared = ({ device }: Judged<PlaceableDevice>): number =>
    Math.sign(device.foreignProcesses.length + device.claims.length);
  return (one, other) =>
    isShared(one) - isShared(other) || left(one) - left(other) || one.device.index - other.device.index;
}

function inOrder<D extends PlaceableDevice>(indices: readonly number[], fitting: readonly Judged<D>[]): Judged<D>[] {
  return indices.flatMap((index) => fitting.filter(({ device }) => device.index === index));
}

/** The first devices of one kind that are enough; tensor parallelism runs at the pace of the slowest. Else a mixture. */
function bestGroup<D extends PlaceableDevice>(fitting: readonly Judged<D>[], count: number): Judged<D>[] {
  const groups = Map.groupBy(fitting, ({ device }) => `${device.name} ${device.totalBytes}`);
  const alike = [...groups.values()].find((group) => group.length >= count) ?? fitting;
  return alike.slice(0, count);
}

function reasonToChoose({ freeBytes, claimBytes }: Judged<PlaceableDevice>, demand: DeviceDemand): string {
  const how = demand.indices ? 'named by the entry' : demand.neededBytes === 0 ? 'the most room' : 'the best fit';
  return `${how}: ${inWords(claimBytes)} claimed of ${inWords(freeBytes)} that are free`;
}

function whyBehind({ device, freeBytes, claimBytes }: Judged<PlaceableDevice>): string {
  const ids = foreignersOn(device);
  const foreign = ids && `, and processes not of this mesh are on it: ${ids}`;
  return `has room, but another fits better: ${inWords(freeBytes - claimBytes)} would be left${foreign}`;
}

function refusal(verdicts: readonly DeviceVerdict[], demand: DeviceDemand): string {
  const devices = demand.count === 1 ? 'a CUDA device' : `${demand.count} CUDA devices`;
  if (verdicts.length === 0) return `no room: ${devices} would be needed, and there is none`;
  const known = new Set(verdicts.map(({ device }) => device.index));
  const unknown = (demand.indices ?? []).filter((index) => !known.has(index)).map((index) => `${index}: not there`);
  const twice = new Set(demand.indices).size < (demand.indices?.length ?? 0) ? ['an index is named twice'] : [];
  const reasons = verdicts.map(({ device, why }) => `${device.index}: ${why}`);
  return `no room for ${devices}: ${[...reasons, ...unknown, ...twice].join('; ')}`;
}

function advice(demand: DeviceDemand, any: boolean): string {
  if (!any) return 'Look at nvidia-smi and at inference.devices, or choose an engine that runs on the CPU.';
  const claim =
    demand.claim.kind === 'share' ? 'gpu_memory_utilization or max_model_len' : 'max_model_len or max_concurrency';
  return `Change ${claim}, or give it other or more devices (devices, tensor_parallel_size, share_devices).`;
}
