import { setTimeout as delay } from 'node:timers/promises';
import {
  isSameProcess,
  type ProcessIdentity,
  processesInSession,
  processesWithMark,
  startTimeOf,
} from './process-table.ts';

/** Between two looks, in milliseconds: a killed process is given time to go, and one that just begins to show its mark. */
const LOOK_AGAIN_MS = 20;

/** A process that forks and ends while we look can hide its child from one look, hardly from three that are apart. */
const EMPTY_LOOKS = 3;

/** Processes of an engine that SIGKILL did not end in time, e.g. because they hang in a driver. */
export class SurvivorsLeftError extends Error {
  readonly processIds: readonly number[];
  readonly #left: readonly ProcessIdentity[];
  readonly #leader: ProcessIdentity | undefined;

  /** `leader` is the engine's own process, when it is known. */
  constructor(left: readonly ProcessIdentity[], limitMs: number, leader: ProcessIdentity | undefined) {
    const processIds = left.map(({ processId }) => processId);
    const which = processIds.length > 0 ? `Processes ${processIds.join(', ')}` : 'Processes that cannot be looked at';
    super(
      `${which} of an engine are still there ${limitMs} ms after SIGKILL: they hang in the kernel, most often in the ` +
        'GPU driver, and keep their memory. If they do not go away, restart the machine.',
    );
    this.name = 'SurvivorsLeftError';
    this.processIds = processIds;
    this.#left = left;
    this.#leader = leader;
  }

  /**
   * Looks whether any is there yet, and says which, in words; undefined when they are gone. All have been killed, so none
   * gets children; asks nothing that hangs with them.
   */
  async findLeft(): Promise<string | undefined> {
    const left = this.#left.filter(isSameProcess).map(({ processId }) => processId);
    const inSession = this.#leader ? await ofItsSession(this.#leader) : [];
    const processIds = [...new Set([...left, ...inSession])];
    return processIds.length > 0 ? `processes ${processIds.join(', ')} of it cannot be ended` : undefined;
  }
}

/**
 * Kills (SIGKILL) whatever is left of one start of an engine until nothing is: what carries the mark and, with `leader`,
 * what is in the session that the engine's own process began.
 *
 * @param mark as `MESH_ENGINE_MARK` had it, at least 32 hex digits
 * @param limitMs how long it may take, in milliseconds
 * @param leader the engine's own process; it may be gone
 * @returns the ids of the processes that were still there, ascending; empty without /proc
 * @throws SurvivorsLeftError when some are there at the limit; RangeError on a mark that is none
 */
export async function killSurvivors(mark: string, limitMs: number, leader?: ProcessIdentity): Promise<number[]> {
  const killed = new Map<number, string>();
  const over = new AbortController();
  // A look can hang together with the process that it looks at, so the limit is no condition of the loop.
  const late = delay(limitMs, 'late' as const, { signal: over.signal }).catch(() => 'late' as const);
  try {
    const outcome = await Promise.race([killUntilGone(mark, leader, killed, over.signal), late]);
    if (outcome === 'late') {
      const all = [...killed].map(([processId, startTime]) => ({ processId, startTime }));
      throw new SurvivorsLeftError(all.filter(isSameProcess), limitMs, leader);
    }
  } finally {
    over.abort();
  }
  return [...killed.keys()].sort((one, other) => one - other);
}

async function killUntilGone(
  mark: string,
  leader: ProcessIdentity | undefined,
  killed: Map<number, string>,
  signal: AbortSignal,
): Promise<void> {
  for (let empty = 0; empty < EMPTY_LOOKS && !signal.aborted; ) {
    const found = await Promise.all([processesWithMark(mark), leader ? ofItsSession(leader) : []]);
    const processIds = new Set(found.flat());
    empty = processIds.size === 0 ? empty + 1 : 0;
    for (const processId of processIds) kill(processId, killed);
    if (empty < EMPTY_LOOKS) await delay(LOOK_AGAIN_MS);
  }
}

/** Nobody, when the leader's number is another's by now: then so may be that of its session. */
async function ofItsSession(leader: ProcessIdentity): Promise<number[]> {
  const now = startTimeOf(leader.processId);
  return now === undefined || now === leader.startTime ? await processesInSession(leader.processId) : [];
}

function kill(processId: number, killed: Map<number, string>): void {
  const startTime = startTimeOf(processId);
  if (startTime === undefined) return;
  killed.set(processId, startTime);
  try {
    process.kill(processId, 'SIGKILL');
  } catch (error) {
    // ESRCH: it has just ended by itself. EPERM: it has become another user's; at the limit it is named.
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
