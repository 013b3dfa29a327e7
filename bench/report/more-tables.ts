import type { Results } from '../harness/results.ts';
import { type Summary, summarize } from '../harness/statistics.ts';
import { bendOf, type Curve, NOISE } from '../parts/curve.ts';
import { growthOf } from '../parts/memory.ts';
import { digits, table, withRange } from './figures.ts';

const mb = (bytes: number) => (bytes / 1e6).toFixed(0);

/** How long engines compute for clients that have left, of one peer over all repetitions. */
export interface LeavingSummary {
  readonly peer: string;
  readonly left: number;
  /** Streams that the engine went on with to their end. */
  readonly never: number;
  /** In milliseconds, of those that it saw left; undefined: none. */
  readonly times: { readonly medianMs: number; readonly p99Ms: number } | undefined;
}

export function leavingOf({ leaving }: Pick<Results, 'leaving'>): LeavingSummary[] {
  return [...new Set(leaving.map(({ peer }) => peer))].map((peer) => {
    const own = leaving.filter((one) => one.peer === peer);
    const timesMs = own.flatMap((one) => one.engineIdleAfterUs.map((us) => us / 1e3)).toSorted((a, b) => a - b);
    const left = own.reduce((sum, one) => sum + one.left, 0);
    const p99Ms = timesMs[Math.min(timesMs.length - 1, Math.floor(0.99 * timesMs.length))];
    const times = p99Ms === undefined ? undefined : { medianMs: summarize(timesMs).median, p99Ms };
    return { peer, left, never: left - timesMs.length, times };
  });
}

export function leavingTable(results: Results): string {
  const rows = leavingOf(results).map(({ peer, left, never, times }) => [
    ...[peer, String(left), times ? digits(times.medianMs) : '–', times ? digits(times.p99Ms) : '–', String(never)],
  ]);
  return table(['peer', 'streams left', 'median ms', 'p99 ms', 'never'], rows);
}

export function streamsPerCoreTable({ streamsPerCore }: Results): string {
  const rows = streamsPerCore.map(({ peer, streams, streamsNearly, trials }) => {
    const most = Math.max(...trials.map((trial) => trial.streams));
    const told = (count: number) => (count === most && count > 0 ? `${count} or more` : String(count));
    const next = trials.find((trial) => trial.streams > streams);
    return [
      ...[peer, told(streams), told(streamsNearly)],
      next ? `${next.streams} streams: ${next.late} of ${next.tokens} late, up to ${digits(next.longestMs)} ms` : '–',
    ];
  });
  return table(['peer', 'no token late', '≤ 0.1 % late', 'beyond that, for instance'], rows);
}

export function curveTable(curve: Curve): string {
  const peers = [...new Set(curve.points.map(({ peer }) => peer))];
  const bends = peers.map((peer) => bendOf(curve, peer));
  const xs = bends[0]?.medians.map(({ x }) => x) ?? [];
  const rows = peers.map((peer, index) => {
    const bend = bends[index];
    if (bend === undefined) throw new Error(`${peer} was not measured`);
    const cells = bend.medians.map(({ y, min, max }) => withRange({ median: y, min, max }));
    return [...[peer, ...cells, digits(bend.lastOfFirst), digits(bend.lastOfLowest)], bend.bendsUp ? '**yes**' : 'no'];
  });
  const titles = [...xs.map((x) => x.toLocaleString('en')), 'last ÷ first', 'last ÷ lowest', 'bends up'];
  const errors = curve.points.reduce((sum, point) => sum + point.errors, 0);
  const problem = errors === 0 ? '' : `\n\n**${errors} errors: these figures mean nothing.**`;
  return `${table([`${curve.yTitle}, by ${curve.xTitle}`, ...titles], rows)}${problem}`;
}

export const BEND_RULE = `"Bends up" is said where the last point lies more than ${Math.round((NOISE - 1) * 100)} % above the lowest, which is about the noise of the machine.`;

export function memorySentence({ scale }: Results): string {
  if (scale === undefined) return '';
  const { mibPer1000Requests, lastOfHalf } = growthOf(scale.memory);
  const rss = scale.memory.samples.map(({ rssBytes }) => rssBytes);
  const growth = `${mibPer1000Requests.toFixed(2)} MiB per 1,000 requests in the second half, its last quarter ${lastOfHalf.toFixed(3)} × its first`;
  return `${scale.memory.requests.toLocaleString('en')} streams of 32 tokens, 32 at a time, ${scale.memory.errors} errors: resident memory ${mb(Math.min(...rss))} to ${mb(Math.max(...rss))} MB; ${growth}.`;
}

export function idleCostTable({ scale }: Results): string {
  const rows = (scale?.idle ?? []).map(({ x, cpuMsPerSecond }) => [x.toLocaleString('en'), digits(cpuMsPerSecond)]);
  return table(['engines', 'CPU ms per second, idle'], rows);
}

/** Resident memory after start, before the first request. */
export function idleMemoryTable({ idle }: Results): string {
  return table(
    ['peer', 'MB, all its processes'],
    idle.map((one) => [one.peer, mb(one.rssBytes)]),
  );
}

export function startupTable({ startup }: Results): string {
  if (startup === undefined) return '';
  const row = (name: string, runs: typeof startup.later) => {
    const over = (figure: (run: (typeof runs)[number]) => number): Summary => summarize(runs.map(figure));
    const memory = [over((run) => run.meshRssBytes), over((run) => run.descendantsRssBytes)];
    return [name, withRange(over((run) => run.readyMs / 1e3)), ...memory.map(({ median }) => mb(median))];
  };
  const titles = ['start of the mesh, shipped model', 'ready s', 'idle MB, mesh process', 'idle MB, its children'];
  return table(titles, [
    row('empty data directory', [startup.first]),
    row(`again, ${startup.later.length} runs`, startup.later),
  ]);
}
