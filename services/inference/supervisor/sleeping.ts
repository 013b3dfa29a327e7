import { setTimeout as delay } from 'node:timers/promises';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import type { EngineConnection, EngineSleep } from '../engines/engine.ts';
import type { EngineStatus } from './engine-status.ts';
import type { Ending } from './failure-cause.ts';
import { describeProblem } from './probe-loop.ts';
import type { StartedEngine } from './start-engine.ts';
import type { Ready } from './starting.ts';
import type { ProcessSupervisorParts } from './supervised-engine.ts';

/** How long it may take to move the weights of the largest models between a device and host memory, in milliseconds. */
const MOVE_LIMIT_MS = 300_000;

/** How long to wait before devices are asked again that had no room after all, in milliseconds. */
const ROOM_RETRY_MS = 1_000;

/** What an engine that sleeps is seen by and written to. */
export interface SleepingParts {
  readonly parts: ProcessSupervisorParts;
  readonly status: EngineStatus;
  readonly engine: StartedEngine;
  /** Resolves when somebody wants it to wake. */
  readonly wakeAsked: () => Promise<void>;
  /** Aborts when the life is over. */
  readonly signal: AbortSignal;
}

/**
 * Sends a ready engine that runs nothing to sleep and wakes it when that is asked and its devices have room. Resolves when
 * it takes requests again, or with why it does not. Never rejects; once aborted its result is void.
 */
export async function sleepUntilWoken(sleeping: SleepingParts): Promise<Ready | Ending> {
  const { status, engine, parts, signal } = sleeping;
  const { connection, booking } = engine;
  if (!connection.sleeping) return { kind: 'sleep', problem: 'its connection has no way to send it to sleep' };
  status.become(EngineState.DRAINING);
  try {
    await connection.sleeping.sleep(limited(signal));
    if (signal.aborted) return over();
    if (booking) await parts.devices.rest(booking);
    if (signal.aborted) return over();
    parts.engineLog.add('asleep');
    status.become(EngineState.SLEEPING);
    await woken(sleeping);
    if (signal.aborted) return over();
    status.become(EngineState.STARTING, { stage: 'waking' });
    return await wake(connection, connection.sleeping, signal);
  } catch (error) {
    return { kind: 'sleep', problem: describeProblem(error) };
  }
}

/** Resolves when it may take its memory again. */
async function woken({ parts, engine: { booking }, wakeAsked, signal, status }: SleepingParts): Promise<void> {
  while (!signal.aborted) {
    await wakeAsked();
    const why = booking && !signal.aborted ? await parts.devices.restore(booking) : undefined;
    if (why === undefined) return;
    parts.log.warn({ engine: parts.entry.name, why }, 'no room for the engine to wake');
    await delay(ROOM_RETRY_MS, undefined, { signal }).catch(() => {});
    // Whoever decides about devices looks again.
    if (!signal.aborted) status.become(EngineState.SLEEPING);
  }
}

async function wake(connection: EngineConnection, sleeping: EngineSleep, signal: AbortSignal): Promise<Ready> {
  await sleeping.wake(limited(signal));
  return { kind: 'ready', probe: await connection.probe(limited(signal)) };
}

function limited(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(MOVE_LIMIT_MS)]);
}

/** What nobody reads: the life has ended for another reason. */
function over(): Ending {
  return { kind: 'sleep', problem: 'it ended' };
}
