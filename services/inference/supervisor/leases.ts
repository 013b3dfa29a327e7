import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pid as ownProcessId } from 'node:process';
import type { Logger } from 'pino';
import { z } from 'zod';
import { isOfThisBoot, isSameProcess, type ProcessIdentity, startTimeOf } from './process-table.ts';
import { killSurvivors, SurvivorsLeftError } from './survivors.ts';

/** How long what a predecessor has left may take to end, in milliseconds. */
const REAP_LIMIT_MS = 5_000;

const leaseSchema = z.object({
  engine: z.string(),
  mark: z.string().regex(/^[0-9a-f]{32,}$/),
  processId: z.int().min(0),
  startTime: z.string(),
  ports: z.array(z.int()),
  devices: z.array(z.int()),
});

/** What one start of an engine holds, on disk while it runs, so that a later mesh can find what is left of it. */
export interface EngineLease {
  /** The configured name. */
  readonly engine: string;
  /** The start's own `MESH_ENGINE_MARK`. */
  readonly mark: string;
  /** The engine's own process. */
  readonly processId: number;
  /** When it was started, as `startTimeOf` tells it. Empty: the platform does not, or it has ended. */
  readonly startTime: string;
  /** Loopback ports that it was given. */
  readonly ports: readonly number[];
  /** CUDA indices that it was given. */
  readonly devices: readonly number[];
}

/** The leases of this process: one file each, `<data>/engines/<pid>-<start>/<mark>.json`, written whole or not at all. */
export interface EngineLeases {
  /**
   * Writes a lease; one with the same mark is replaced.
   *
   * @throws Error of the file system
   */
  record(lease: EngineLease): void;
  /** Forgets a lease when nothing of the start is left. Does nothing for one that is not there. */
  remove(mark: string): void;
  /**
   * At boot, before any start: kills what predecessors that are gone have left and forgets their leases. Safe against
   * process ids that others have by now; never touches engines of another mesh process that lives. What cannot be killed
   * is logged and its lease stays. Where there is no /proc it kills nothing.
   *
   * @returns the leases of which something was still there, or still is
   * @throws Error of the file system
   */
  reconcile(log: Logger): Promise<readonly EngineLease[]>;
}

/**
 * The leases below a data directory. Nothing is written before the first lease. Mesh processes that share a data directory
 * must see each other's processes: not from two containers.
 */
export function createLeases(dataDir: string): EngineLeases {
  const root = join(dataDir, 'engines');
  const own = join(root, ownerName({ processId: ownProcessId, startTime: startTimeOf(ownProcessId) ?? UNKNOWN_START }));
  const fileOf = (mark: string): string => join(own, `${mark}.json`);
  return {
    record(lease) {
      mkdirSync(own, { recursive: true, mode: 0o700 });
      const draft = `${fileOf(lease.mark)}.new`;
      writeFileSync(draft, JSON.stringify(lease), { mode: 0o600 });
      renameSync(draft, fileOf(lease.mark));
    },
    remove(mark) {
      rmSync(fileOf(mark), { force: true });
      removeEmpty(own);
    },
    async reconcile(log) {
      const left: EngineLease[] = [];
      for (const name of namesIn(root)) {
        const owner = ownerOf(name);
        if (!owner || isAlive(owner)) continue;
        const directory = join(root, name);
        const reaped = await Promise.all(
          namesIn(directory).map((file) => reap(join(directory, file), isOfThisBoot(owner.startTime), log)),
        );
        left.push(...reaped.filter((lease) => lease !== undefined));
        removeEmpty(directory);
      }
      return left;
    },
  };
}

/** Kills what is left of a lease and forgets it. Returns it when something was left. */
async function reap(path: string, mayRun: boolean, log: Logger): Promise<EngineLease | undefined> {
  const mark = /([0-9a-f]{32,})\.json$/.exec(path)?.[1];
  let killed: readonly number[] = [];
  const lease = mark === undefined ? undefined : readLease(path, log);
  if (mark !== undefined && mayRun) {
    try {
      killed = await killSurvivors(mark, REAP_LIMIT_MS, lease && isSameProcess(lease) ? lease : undefined);
    } catch (error) {
      if (!(error instanceof SurvivorsLeftError)) throw error;
      log.error({ err: error, engine: lease?.engine, lease: path }, 'an engine of an earlier run cannot be ended');
      return lease;
    }
  }
  rmSync(path, { force: true });
  if (killed.length === 0) return undefined;
  log.warn({ engine: lease?.engine, processIds: killed }, 'ended what an earlier run left of an engine');
  return lease;
}

/** The mark is in the name, so what a broken file belongs to can be found all the same. */
function readLease(path: string, log: Logger): EngineLease | undefined {
  try {
    return leaseSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    log.warn({ err: error, lease: path }, 'a lease of an earlier run cannot be read; going by its mark alone');
    return undefined;
  }
}

/** Where the platform does not tell when a process was started. */
const UNKNOWN_START = 'unknown';

function ownerName({ processId, startTime }: ProcessIdentity): string {
  return `${processId}-${startTime.replace(':', '_')}`;
}

/** Whose directory it is. Undefined: none of ours. */
function ownerOf(name: string): ProcessIdentity | undefined {
  const [, processId, start] = /^([1-9]\d*)-(.+)$/.exec(name) ?? [];
  return start === undefined ? undefined : { processId: Number(processId), startTime: start.replace('_', ':') };
}

function isAlive(owner: ProcessIdentity): boolean {
  // Too careful is right: a lease that stays costs a file.
  return owner.startTime === UNKNOWN_START ? isThere(owner.processId) : isSameProcess(owner);
}

function isThere(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // It lives and is another user's.
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
