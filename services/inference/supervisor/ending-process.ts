import { setTimeout as delay } from 'node:timers/promises';
import type { Booking } from '../devices/device-book.ts';
import type { GuardedProcess } from './spawn.ts';
import type { ProcessSupervisorParts } from './supervised-engine.ts';
import { killSurvivors, SurvivorsLeftError } from './survivors.ts';

/** How long what a process wrote last may take to be read, in milliseconds. */
const OUTPUT_PATIENCE_MS = 1_000;

/** A process and what belongs to its start. */
export interface StartedProcess {
  readonly child: GuardedProcess;
  /** As `startTimeOf` tells it. Empty: the platform does not. */
  readonly startTime: string;
  readonly ports: readonly number[];
  readonly booking: Booking | undefined;
}

/** Asks the group to end and gives the process the grace time; returns whether it has ended. */
export async function askToEnd(child: GuardedProcess, graceMs: number): Promise<boolean> {
  child.signal('SIGTERM');
  return await within(graceMs, child.exited);
}

/**
 * Kills what is left of a start, waits until the driver reports its memory back, and only then gives back what it held:
 * devices, ports (which rest) and its lease. What is not back in time stays booked until it is. Never rejects.
 *
 * @returns in words, what could not be killed; its lease stays, so that the next boot tries again
 */
export async function clearAway(started: StartedProcess, parts: ProcessSupervisorParts): Promise<string | undefined> {
  const { child, booking, ports } = started;
  const { devices, limits, log, entry, engineLog } = parts;
  // Also after an exit: the process may be gone and its children not.
  await child.sweep();
  const survivors = await killRest(started, parts);
  await within(OUTPUT_PATIENCE_MS, child.outputEnded);
  if (booking) {
    const why = await devices.giveBack(booking, limits.memoryBackMs, async () => await survivors?.findLeft());
    if (why !== undefined) {
      log.warn({ engine: entry.name, devices: booking.devices, why }, 'the devices of an ended engine stay booked');
      engineLog.add(`its devices stay booked: ${why}`);
    }
  }
  parts.ports.release(ports);
  if (!survivors) forget(child, parts);
  return survivors?.message;
}

function forget({ mark }: GuardedProcess, { leases, log, entry }: ProcessSupervisorParts): void {
  try {
    leases.remove(mark);
  } catch (error) {
    // The next boot finds nothing under it and removes it.
    log.error({ engine: entry.name, err: error }, 'the lease of an ended engine could not be removed');
  }
}

async function killRest(
  { child, startTime }: StartedProcess,
  parts: ProcessSupervisorParts,
): Promise<SurvivorsLeftError | undefined> {
  const { limits, log, entry } = parts;
  const leader = startTime === '' ? undefined : { processId: child.processId, startTime };
  try {
    const processIds = await killSurvivors(child.mark, limits.survivorsMs, leader);
    if (processIds.length > 0)
      log.warn({ engine: entry.name, processIds }, 'processes outside of the group were killed');
    return undefined;
  } catch (error) {
    if (!(error instanceof SurvivorsLeftError)) throw error;
    log.error({ engine: entry.name, processIds: error.processIds }, error.message);
    return error;
  }
}

/** Waits for something, at most `limitMs`; returns whether it came. */
async function within(limitMs: number, awaited: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  // Rejects only because it is no longer needed.
  const late = delay(limitMs, false, { signal: over.signal }).catch(() => false);
  const came = await Promise.race([awaited.then(() => true), late]);
  over.abort();
  return came;
}
