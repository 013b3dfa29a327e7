import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { isOwnerAlive, ownerName, ownerOf } from './process-owner.ts';
import { isOfThisBoot, isSameProcess } from './process-table.ts';
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
  memory: z.record(z.string(), z.number().min(0)),
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
  /** Bytes that it had booked, by the driver's names of those devices. */
  readonly memory: Readonly<Record<string, number>>;
}

/** A lease whose mesh process is gone. */
export interface EndedLease {
  readonly lease: EngineLease;
  /** What of it cannot be ended. Unset: nothing of it is left. */
  readonly survivors?: SurvivorsLeftError | undefined;
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
   * @returns the leases of this boot of the machine, whether anything of them was left or not
   * @throws Error of the file system
   */
  reconcile(log: Logger): Promise<readonly EndedLease[]>;
}

/**
 * The leases below a data directory. Nothing is written before the first lease. Mesh processes that share a data directory
 * must see each other's processes: not from two containers.
 */
export function createLeases(dataDir: string, reapLimitMs: number = REAP_LIMIT_MS): EngineLeases {
  const root = join(dataDir, 'engines');
  const own = join(root, ownerName());
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
      const ended: EndedLease[] = [];
      for (const name of namesIn(root)) {
        const owner = ownerOf(name);
        if (!owner || isOwnerAlive(owner)) continue;
        const directory = join(root, name);
        const limitMs = isOfThisBoot(owner.startTime) ? reapLimitMs : undefined;
        const reaped = await Promise.all(namesIn(directory).map((file) => reap(join(directory, file), limitMs, log)));
        ended.push(...reaped.filter((one) => one !== undefined));
        removeEmpty(directory);
      }
      return ended;
    },
  };
}

/**
 * Kills what is left of a lease and forgets it.
 *
 * @param limitMs how long that may take. Undefined: it is of another boot, so nothing of it can be left.
 */
async function reap(path: string, limitMs: number | undefined, log: Logger): Promise<EndedLease | undefined> {
  const mark = /([0-9a-f]{32,})\.json$/.exec(path)?.[1];
  if (mark === undefined || limitMs === undefined) {
    rmSync(path, { force: true });
    return undefined;
  }
  const lease = readLease(path, log);
  const engine = lease?.engine;
  try {
    const processIds = await killSurvivors(mark, limitMs, lease && isSameProcess(lease) ? lease : undefined);
    if (processIds.length > 0) log.warn({ engine, processIds }, 'ended what an earlier run left of an engine');
  } catch (error) {
    if (!(error instanceof SurvivorsLeftError)) throw error;
    const { devices } = lease ?? {};
    log.error({ err: error, engine, devices, lease: path }, 'an engine of an earlier run cannot be ended');
    return lease && { lease, survivors: error };
  }
  rmSync(path, { force: true });
  return lease && { lease };
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
