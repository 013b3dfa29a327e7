import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { pid as ownProcessId } from 'node:process';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** The environment variable that every process of one start of an engine carries, grandchildren included. */
export const MARK_VARIABLE = 'MESH_ENGINE_MARK';

/** A mark that nobody has: 32 hexadecimal digits. */
export function newMark(): string {
  return randomBytes(16).toString('hex');
}

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  readonly processId: number;
  /** As `startTimeOf` tells it. */
  readonly startTime: string;
}

/** How many environments are read at a time; each takes a thread of the pool that the whole process shares. */
const READS_AT_A_TIME = 2;

/** How many short files of /proc are read in one turn of the event loop, some 20 µs each. */
const LOOKS_IN_A_TURN = 50;

/**
 * When a process was started, as "<boot id>:<clock ticks since boot>". Undefined: it has ended, was never there, or the
 * platform has no /proc.
 */
export function startTimeOf(processId: number): string | undefined {
  const fields = readStat(processId);
  if (!fields || ENDED_STATES.includes(fields.state)) return undefined;
  return `${bootId()}:${fields.startTicks}`;
}

/** Whether a process that was started then still runs. */
export function isSameProcess({ processId, startTime }: ProcessIdentity): boolean {
  return startTimeOf(processId) === startTime;
}

/** Whether a start time is of this boot of the machine; a process of another one is gone. */
export function isOfThisBoot(startTime: string): boolean {
  return startTime.startsWith(`${bootId()}:`);
}

/**
 * The processes, this one aside, whose environment has `MESH_ENGINE_MARK=<mark>`. Those of other users cannot be seen.
 * Without /proc there are none.
 *
 * @throws RangeError on a mark that is too short to be anybody's alone.
 */
export async function processesWithMark(mark: string): Promise<number[]> {
  if (!/^[0-9a-f]{32,}$/.test(mark)) throw new RangeError(`not a mark of an engine: ${JSON.stringify(mark)}`);
  const wanted = Buffer.from(`${MARK_VARIABLE}=${mark}\0`);
  const found: number[] = [];
  const waiting = await processIds();
  const readSome = async (): Promise<void> => {
    for (let processId = waiting.pop(); processId !== undefined; processId = waiting.pop()) {
      if (holdsVariable(await environmentOf(processId), wanted)) found.push(processId);
    }
  };
  await Promise.all(Array.from({ length: READS_AT_A_TIME }, readSome));
  return found.sort((one, other) => one - other);
}

/**
 * The processes, this one aside, whose session a process leads or led, itself included when it runs. Without /proc there
 * are none.
 */
export async function processesInSession(leader: number): Promise<number[]> {
  const found: number[] = [];
  for (const [index, processId] of (await processIds()).entries()) {
    // Others have tokens to send: thousands of processes are not looked at in one turn.
    if (index % LOOKS_IN_A_TURN === LOOKS_IN_A_TURN - 1) await nextTurn();
    const fields = readStat(processId);
    if (fields?.session === leader && !ENDED_STATES.includes(fields.state)) found.push(processId);
  }
  return found.sort((one, other) => one - other);
}

/** Zombie and dead: nothing of such a process is left but its number. */
const ENDED_STATES = ['Z', 'X', 'x'];

/** From /proc/<pid>/stat; it needs no lock of the process, so it answers also for one that hangs in the kernel. */
function readStat(processId: number): { state: string; session: number; startTicks: string } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${processId}/stat`, 'latin1');
  } catch {
    return undefined; // Gone, or no /proc: both are the answer.
  }
  // After the name in parentheses, which may hold anything, come the fields from the third on.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', session: Number(fields[3]), startTicks: fields[19] ?? '' };
}

async function processIds(): Promise<number[]> {
  let names: string[];
  try {
    names = await readdir('/proc');
  } catch {
    return []; // A platform without it.
  }
  return names.map(Number).filter((processId) => processId > 0 && processId !== ownProcessId);
}

/**
 * Read in the pool, not at once: for a process that hangs in the kernel with its memory locked this read hangs too.
 */
async function environmentOf(processId: number): Promise<Buffer> {
  try {
    return await readFile(`/proc/${processId}/environ`);
  } catch {
    return Buffer.alloc(0); // Gone by now, or somebody else's.
  }
}

function holdsVariable(environment: Buffer, wanted: Buffer): boolean {
  const at = environment.indexOf(wanted);
  return at === 0 || (at > 0 && environment[at - 1] === 0);
}

let knownBootId: string | undefined;

function bootId(): string {
  knownBootId ??= readBootId();
  return knownBootId;
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return 'unknown';
  }
}
