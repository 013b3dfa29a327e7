import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** CPU time of one process, in nanoseconds. */
interface ProcessCpu {
  readonly pid: number;
  /** Of each thread that lives now, from the scheduler, by id. */
  readonly threadsNs: ReadonlyMap<string, number>;
  /** Of all threads that ever lived, in ticks of 10 ms. */
  readonly totalNs: number;
}

/** What a process and all its descendants used so far. */
export interface TreeUsage {
  readonly processes: readonly ProcessCpu[];
  /** Resident memory now and its highest value since {@link resetPeakMemory}, in bytes. */
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  /** The same for the first process alone. */
  readonly mainRssBytes: number;
}

/** USER_HZ is 100 on every Linux that Node runs on. */
const TICK_NS = 10_000_000;
const NOTHING: TreeUsage = { processes: [], rssBytes: 0, peakRssBytes: 0, mainRssBytes: 0 };

/** Process id and those of all descendants, parents first. */
export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(processTree)];
}

/** CPU of all threads that live now, in nanoseconds. */
export function cpuNsOf({ processes }: TreeUsage): number {
  return processes.reduce((sum, { threadsNs }) => sum + threadsNs.values().reduce((total, ns) => total + ns, 0), 0);
}

/** Reads /proc; `undefined` stands for a peer without a process and reads as nothing. */
export function readTreeUsage(pid: number | undefined): TreeUsage {
  if (pid === undefined) return NOTHING;
  const pids = processTree(pid);
  const each = pids.map(readMemory);
  const sum = (figure: (usage: (typeof each)[number]) => number) => each.reduce((total, one) => total + figure(one), 0);
  return {
    processes: pids.map(readCpu),
    rssBytes: sum((one) => one.rssBytes),
    peakRssBytes: sum((one) => one.peakRssBytes),
    mainRssBytes: each[0]?.rssBytes ?? 0,
  };
}

/**
 * CPU spent between two readings of one tree, in nanoseconds. Throws when a process came or went in between: what it
 * used would be missing from the sum, and a cheaper figure than the true one must never be printed.
 */
export function cpuBetween(before: TreeUsage, after: TreeUsage): number {
  const [pidsBefore, pidsAfter] = [before, after].map(({ processes }) => processes.map(({ pid }) => pid).join());
  if (pidsBefore !== pidsAfter) {
    throw new Error(`processes changed during a measurement: ${pidsBefore} became ${pidsAfter}`);
  }
  return after.processes.reduce((sum, process, index) => {
    const earlier = before.processes[index];
    return sum + (earlier === undefined ? 0 : cpuOfProcess(earlier, process));
  }, 0);
}

function cpuOfProcess(before: ProcessCpu, after: ProcessCpu): number {
  const sum = ({ threadsNs }: ProcessCpu) => threadsNs.values().reduce((total, ns) => total + ns, 0);
  // The scheduler forgets a thread that has ended, the process does not.
  const hasLost = before.threadsNs.keys().some((id) => !after.threadsNs.has(id));
  return hasLost ? after.totalNs - before.totalNs : sum(after) - sum(before);
}

/** Starts the peak of every process of the tree again from its present size. */
export function resetPeakMemory(pid: number | undefined): void {
  if (pid === undefined) return;
  for (const id of processTree(pid)) writeFileSync(`/proc/${id}/clear_refs`, '5');
}

// schedstat counts in ns; /proc/PID/stat in ticks of 10 ms, too coarse for a run of a second where there is another way.
function readCpu(pid: number): ProcessCpu {
  const threads = readdirSync(`/proc/${pid}/task`);
  const threadsNs = threads.flatMap((id): [string, number][] => {
    try {
      return [[id, Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0])]];
    } catch {
      return []; // ended since it was listed
    }
  });
  // The name in brackets may have spaces; user and system time are the 12th and 13th field after it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return { pid, threadsNs: new Map(threadsNs), totalNs: (Number(fields[11]) + Number(fields[12])) * TICK_NS };
}

function readMemory(pid: number): { rssBytes: number; peakRssBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { rssBytes: bytes('VmRSS'), peakRssBytes: bytes('VmHWM') };
}
