import { pid as ownProcessId } from 'node:process';
import { isSameProcess, type ProcessIdentity, startTimeOf } from './process-table.ts';

/** Where the platform does not tell when a process was started. */
const UNKNOWN_START = 'unknown';

/** This process in a file's name, "<pid>-<boot id>_<ticks>": whoever has its number later has another name. */
export function ownerName(): string {
  return `${ownProcessId}-${(startTimeOf(ownProcessId) ?? UNKNOWN_START).replace(':', '_')}`;
}

/** The process that such a name means. Undefined: it is no such name. */
export function ownerOf(name: string): ProcessIdentity | undefined {
  const [, processId, start] = /^([1-9]\d*)-(.+)$/.exec(name) ?? [];
  return start === undefined ? undefined : { processId: Number(processId), startTime: start.replace('_', ':') };
}

/** Whether the process runs that gave a file its name. In doubt it does: what stays costs a file. */
export function isOwnerAlive(owner: ProcessIdentity): boolean {
  if (isSameProcess(owner)) return true;
  // Another process has the number by now, or nobody has.
  if (startTimeOf(owner.processId) !== undefined) return false;
  const there = signalZero(owner.processId);
  // Processes of others can be hidden (hidepid), and then only a refusal tells of them.
  return owner.startTime === UNKNOWN_START ? there !== 'nobody' : there === "another user's";
}

function signalZero(processId: number): 'ours' | "another user's" | 'nobody' {
  try {
    process.kill(processId, 0);
    return 'ours';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? "another user's" : 'nobody';
  }
}
