import type { Measurement } from '../harness/measure.ts';
import type { Results } from '../harness/results.ts';
import { type Summary, summarize } from '../harness/statistics.ts';

/** The peer without a gateway. */
export const DIRECT = 'direct';
/** The base of all ratios. */
export const BASE = 'nginx';

/** One number of a run. */
export type Figure = (run: Measurement) => number;

export const perRequestUs: Figure = (run) => run.cpuUs / run.load.requests;
export const perTokenUs: Figure = (run) => run.cpuUs / run.load.tokens;
export const firstTokenMs: Figure = (run) => run.load.firstTokenP50Us / 1e3;
export const firstTokenP99Ms: Figure = (run) => run.load.firstTokenP99Us / 1e3;
export const transitMs: Figure = (run) => run.load.transitP50Us / 1e3;
export const transitP99Ms: Figure = (run) => run.load.transitP99Us / 1e3;
export const latencyMs: Figure = (run) => run.load.latencyP50Us / 1e3;
export const latencyP99Ms: Figure = (run) => run.load.latencyP99Us / 1e3;
export const peakMb: Figure = (run) => run.peakRssBytes / 1e6;

export function runsOf({ measurements }: Pick<Results, 'measurements'>, workload: string, peer: string): Measurement[] {
  return measurements.filter((run) => run.workload === workload && run.peer === peer);
}

/** Median and range over the repetitions; undefined when it was not measured. */
export function over(
  results: Pick<Results, 'measurements'>,
  workload: string,
  peer: string,
  figure: Figure,
): Summary | undefined {
  const values = runsOf(results, workload, peer).map(figure);
  return values.length === 0 ? undefined : summarize(values);
}

/** Compares two peers repetition by repetition, so that drift of the machine cancels out. */
export function compared(
  results: Pick<Results, 'measurements'>,
  [workload, peer, base]: readonly [workload: string, peer: string, base: string],
  compare: (run: Measurement, base: Measurement) => number,
): Summary | undefined {
  const bases = runsOf(results, workload, base);
  const values = runsOf(results, workload, peer).flatMap((run) => {
    const other = bases.find(({ repetition }) => repetition === run.repetition);
    return other === undefined ? [] : [compare(run, other)];
  });
  return values.length === 0 ? undefined : summarize(values);
}

/** A number with as many digits as it deserves. */
export function digits(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** The median, and the range where there is one. */
export function withRange({ median, min, max }: Summary): string {
  return min === max ? digits(median) : `${digits(median)} (${digits(min)}–${digits(max)})`;
}

/** A Markdown table, its first column to the left and the others to the right. */
export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(titles), line(titles.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
