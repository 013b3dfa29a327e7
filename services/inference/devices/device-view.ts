import { cpus, freemem, totalmem } from 'node:os';
import { create } from '@bufbuild/protobuf';
import { type Device, DeviceSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { Booking } from './booking.ts';
import { foreignBytes, memoryOf } from './device-memory.ts';
import type { DriverReading, GpuReading } from './gpu-reading.ts';
import type { ForeignClaim } from './host-claims.ts';
import type { Ledger } from './ledger.ts';
import type { DeviceClaim, PlaceableDevice } from './placement.ts';
import type { Exclusion } from './visible-devices.ts';

/** A device as placement and callers see it. */
export interface DeviceView extends PlaceableDevice {
  readonly message: Device;
}

/** What a view is made of. */
export interface ViewParts {
  readonly reading: DriverReading;
  readonly ownProcesses: Pick<ReadonlySet<number>, 'has'>;
  readonly ledger: Ledger;
  /** A booking to leave out. */
  readonly without?: Booking | undefined;
  /** What other meshes of this host claim. */
  readonly claims: readonly ForeignClaim[];
  readonly exclusion: Exclusion;
  /** Devices that were there, and that the driver no longer lists. */
  readonly gone: readonly GpuReading[];
}

/** Every device with its bookings, by index; a device that is gone stays in the list, excluded. */
export function viewDevices(parts: ViewParts): DeviceView[] {
  const { isWhole, problem } = parts.reading;
  const why = isWhole
    ? 'gone: the driver no longer lists it'
    : `unreadable: ${problem ?? 'there is no nvidia-smi any more'}`;
  const gone = parts.gone.map((gpu) => viewOf(gpu, parts, why, isWhole));
  return [...parts.reading.gpus.map((gpu) => viewOf(gpu, parts, parts.exclusion(gpu) ?? memoryless(gpu))), ...gone];
}

function memoryless({ totalBytes, usedBytes }: GpuReading): string | undefined {
  return totalBytes === undefined || usedBytes === undefined ? 'the driver does not tell its memory' : undefined;
}

function viewOf(gpu: GpuReading, parts: ViewParts, excluded: string | undefined, isLost = false): DeviceView {
  const { uuid, index, name } = gpu;
  const memory = memoryOf(gpu, parts.reading, parts.ownProcesses);
  const entries = parts.ledger.on(uuid).filter(({ booking }) => booking !== parts.without);
  const bookings = entries.map(({ booking, shares, restingBytes, ended }) => ({
    engine: booking.engine,
    bytes: (restingBytes ?? booking.bytes).get(uuid) ?? 0,
    shares,
    sleeps: restingBytes !== undefined,
    endedWhy: ended?.why,
  }));
  const claiming = parts.claims.filter((claim) => claim.memory[uuid] !== undefined);
  const claims = claiming.map((one) => claimOn(uuid, one, parts));
  const claimantIds = new Set(claiming.flatMap(({ processIds }) => processIds));
  const foreignIds = memory.foreignProcesses.map(({ processId }) => processId);
  const foreign = foreignBytes(memory, parts.ledger.heldBefore(uuid));
  const claimants = claims.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
  const totalBytes = gpu.totalBytes ?? 0;
  return {
    index,
    uuid,
    name,
    totalBytes,
    usedBytes: memory.usedBytes,
    // What engines of other meshes use is within what those claim.
    foreignBytes: Math.max(0, foreign - claimants),
    foreignProcesses: foreignIds.filter((processId) => !claimantIds.has(processId)),
    bookings,
    claims,
    excluded,
    message: create(DeviceSchema, {
      index,
      uuid,
      name,
      memoryTotalBytes: BigInt(totalBytes),
      memoryUsedBytes: BigInt(memory.usedBytes),
      memoryBookedBytes: BigInt(bookings.reduce((sum, { bytes }) => sum + bytes, 0)),
      memoryForeignBytes: BigInt(foreign),
      engines: bookings.map(({ engine }) => engine),
      foreignProcesses: foreignIds.length,
      foreignProcessList: memory.foreignProcesses.map(({ processId, usedBytes }) => ({
        processId,
        ...(usedBytes !== undefined && { memoryBytes: BigInt(usedBytes) }),
      })),
      excluded: excluded ?? '',
      lost: isLost,
    }),
  };
}

function claimOn(uuid: string, claim: ForeignClaim, { reading }: ViewParts): DeviceClaim & { usedBytes: number } {
  const processes = reading.processes.filter((one) => one.uuid === uuid && claim.processIds.includes(one.processId));
  const usedBytes = processes.reduce((sum, one) => sum + (one.usedBytes ?? 0), 0);
  const { ownerProcessId, ownerHasEnded, shares } = claim;
  return { ownerProcessId, ownerHasEnded, shares, usedBytes, bytes: Math.max(claim.memory[uuid] ?? 0, usedBytes) };
}

/** The MIG slices as messages; they have no index of their own, because CUDA gives them none. */
export function sliceMessages(reading: DriverReading): Device[] {
  return reading.slices.map(({ uuid, name, parentUuid, totalBytes }) => {
    const parent = reading.gpus.find((gpu) => gpu.uuid === parentUuid);
    return create(DeviceSchema, {
      uuid,
      name: parent ? `${parent.name} ${name}` : name,
      memoryTotalBytes: BigInt(totalBytes),
      mig: true,
      excluded: 'a MIG slice; slices are listed and never placed on',
    });
  });
}

/** The CPU of this node, with the memory of the host. */
export function cpuMessage(engines: readonly string[]): Device {
  return create(DeviceSchema, {
    name: cpus()[0]?.model ?? 'CPU',
    memoryTotalBytes: BigInt(totalmem()),
    memoryUsedBytes: BigInt(totalmem() - freemem()),
    engines: [...engines],
  });
}
