import type { DeviceChange } from './booking.ts';
import type { PresenceChange } from './device-presence.ts';
import type { DriverReading } from './gpu-reading.ts';

type ProcessIds = Pick<ReadonlySet<number>, 'has'>;

/** What two readings are compared with. */
export interface ChangeParts {
  /** The engines that have booked a device, by its UUID. */
  readonly engines: (uuid: string) => readonly string[];
  readonly ownBefore: ProcessIds;
  readonly own: ProcessIds;
  readonly presence: PresenceChange;
}

/** What happened between two looks at the driver. */
export function changesBetween(before: DriverReading, after: DriverReading, parts: ChangeParts): DeviceChange[] {
  const changes: DeviceChange[] = [];
  const tell = (kind: DeviceChange['kind'], uuid: string, what: string): void => {
    changes.push({ kind, uuid, what, engines: parts.engines(uuid) });
  };
  if (after.problem !== undefined && after.problem !== before.problem) tell('unreadable', '', after.problem);
  if (after.problem === undefined && before.problem !== undefined)
    tell('readable', '', 'the devices can be read again');
  for (const { uuid, index, name } of parts.presence.gone) {
    tell('gone', uuid, `CUDA device ${index} (${name}) is gone: the driver no longer lists it`);
  }
  for (const { uuid, index, name } of parts.presence.appeared) {
    tell('appeared', uuid, `CUDA device ${index} (${name}) has appeared`);
  }
  for (const { uuid, index, name } of after.gpus) {
    const foreignBefore = foreignOn(uuid, before, parts.ownBefore);
    for (const processId of foreignOn(uuid, after, parts.own)) {
      if (foreignBefore.has(processId)) continue;
      tell(
        'foreign-process',
        uuid,
        `process ${processId}, which is not of this mesh, uses CUDA device ${index} (${name})`,
      );
    }
  }
  return changes;
}

function foreignOn(uuid: string, reading: DriverReading, own: ProcessIds): Set<number> {
  const processes = reading.processes.filter((process) => process.uuid === uuid && !own.has(process.processId));
  return new Set(processes.map(({ processId }) => processId));
}
