import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** What a process and all its descendants used so far. */
export interface TreeUsage {
  readonly pids: readonly number[];
  /** CPU time of all threads that live now, from the scheduler, in nanoseconds. */
  readonly cpuNs: number;
  /** Resident memory now and its highest value since {@link resetPeakMemory}, in bytes. */
  readonly rssBytes: number;
  readonly peakRssBytes: number;
  /** The same for the first process alone. */
  readonly mainRssBytes: number;
  readonly mainPeakRssBytes: number;
}

const NOTHING: TreeUsage = { pids: [], cpuNs: 0, rssBytes: 0, peakRssBytes: 0, mainRssBytes: 0, mainPeakRssBytes: 0 };

/** Process id and those of all descendants, parents first. */
export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(processTree)];
}

/** Reads /proc; `undefined` stands for a peer without a process and reads as nothing. */
export function readTreeUsage(pid: number | undefined): TreeUsage {
  if (pid === undefined) return NOTHING;
  const pids = processTree(pid);
  const each = pids.map((id) => ({ cpuNs: readCpuNs(id), ...readMemory(id) }));
  const sum = (figure: (usage: (typeof each)[number]) => number) => each.reduce((total, one) => total + figure(one), 0);
  return {
    pids,
    cpuNs: sum((one) => one.cpuNs),
    rssBytes: sum((one) => one.rssBytes),
    peakRssBytes: sum((one) => one.peakRssBytes),
    mainRssBytes: each[0]?.rssBytes ?? 0,
    mainPeakRssBytes: each[0]?.peakRssBytes ?? 0,
  };
}

/**
 * CPU spent between two readings of one tree, in nanoseconds. Throws when a process came or went in between: what it
 * used would be missing from the sum, and a cheaper figure than the true one must never be printed.
 */
export function cpuBetween(before: TreeUsage, after: TreeUsage): number {
  if (before.pids.join() !== after.pids.join()) {
    throw new Error(`processes changed during a measurement: ${before.pids.join()} became ${after.pids.join()}`);
  }
  return after.cpuNs - before.cpuNs;
}

/** Starts the peak of every process of the tree again from its present size. */
export function resetPeakMemory(pid: number | undefined): void {
  if (pid === undefined) return;
  for (const id of processTree(pid)) writeFileSync(`/proc/${id}/clear_refs`, '5');
}

// schedstat counts in ns; /proc/PID/stat in ticks of 10 ms, too coarse for a run of a second.
function readCpuNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce(
    (total, thread) => total + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
    0,
  );
}

function readMemory(pid: number): { rssBytes: number; peakRssBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { rssBytes: bytes('VmRSS'), peakRssBytes: bytes('VmHWM') };
}
