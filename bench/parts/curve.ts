import { summarize } from '../harness/statistics.ts';

/** One measured point of a curve. */
export interface CurvePoint {
  readonly peer: string;
  readonly repetition: number;
  /** What grows, e.g. streams or keys. */
  readonly x: number;
  /** CPU in microseconds per token or request. */
  readonly y: number;
  readonly errors: number;
}

/** What a cost does while something else grows. */
export interface Curve {
  readonly name: string;
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly points: readonly CurvePoint[];
}

/** How far a curve may rise before it counts as bent: less is the noise of the machine. */
export const NOISE = 1.2;

/** Whether a peer's curve bends up. */
export interface Bend {
  readonly medians: readonly { readonly x: number; readonly y: number; readonly min: number; readonly max: number }[];
  /** The cost at the last point as a multiple of that at the first. */
  readonly lastOfFirst: number;
  /** … of the lowest of all: a curve that falls and rises again shows here. */
  readonly lastOfLowest: number;
  readonly bendsUp: boolean;
}

/** Medians of one peer's points, and whether the last lies above the lowest by more than noise: also after a fall a curve must not rise. */
export function bendOf({ points }: Pick<Curve, 'points'>, peer: string): Bend {
  const own = points.filter((point) => point.peer === peer);
  const xs = [...new Set(own.map(({ x }) => x))].toSorted((a, b) => a - b);
  const medians = xs.map((x) => {
    const { median, min, max } = summarize(own.filter((point) => point.x === x).map(({ y }) => y));
    return { x, y: median, min, max };
  });
  const [first, last] = [medians[0], medians.at(-1)];
  if (first === undefined || last === undefined) throw new Error(`${peer} has no point`);
  const lastOfFirst = last.y / first.y;
  const lastOfLowest = last.y / Math.min(...medians.map(({ y }) => y));
  return { medians, lastOfFirst, lastOfLowest, bendsUp: lastOfLowest > NOISE };
}
