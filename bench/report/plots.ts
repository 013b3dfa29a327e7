import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { installPackages } from '../harness/packages.ts';
import type { Results } from '../harness/results.ts';
import { bendOf } from '../parts/curve.ts';
import { DIRECT, type Figure, over, peakMb, perRequestUs, perTokenUs, transitP99Ms } from './figures.ts';
import { leavingOf } from './more-tables.ts';

/** SVG by name of the file. */
export type Plots = Readonly<Record<string, string>>;

interface Bar {
  readonly peer: string;
  readonly value: number;
  readonly min?: number;
  readonly max?: number;
}

type Specification = Readonly<Record<string, unknown>>;

const directory = join(import.meta.dirname, '..', 'plots');
const TICKS = 5;
const BUFFER_BYTES = 64 * 2 ** 20;
const COLOR = {
  condition: { test: "indexof(datum.peer, 'mesh') === 0", value: '#2a6fbb' },
  value: '#9aa5b1',
};
const LOOK = { background: 'white', config: { font: 'sans-serif', view: { stroke: null }, axis: { grid: true } } };

/** Draws all plots of a run; none, and says so, where what draws them cannot be installed. */
export function drawPlots(results: Results): Plots {
  const problem = installPackages(directory);
  if (problem !== undefined) {
    console.error(`No plots: ${problem}`);
    return {};
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(directory, 'render.mjs')], {
    input: JSON.stringify(specificationsOf(results)),
    encoding: 'utf8',
    maxBuffer: BUFFER_BYTES,
  });
  if (status !== 0) throw new Error(`plots: ${stderr}`);
  return JSON.parse(stdout) as Plots;
}

/** What there is to draw; parts that were not measured have no plot. */
export function specificationsOf(results: Results): Record<string, Specification> {
  const of = (workload: string, figure: Figure) => barsOf(results, workload, figure);
  const leaving = leavingOf(results).flatMap(({ peer, times }) => (times ? [{ peer, value: times.medianMs }] : []));
  const perCore = results.streamsPerCore
    .filter(({ peer }) => peer !== DIRECT)
    .map(({ peer, streams }) => ({ peer, value: streams }));
  const bars: Record<string, Specification | undefined> = {
    'cpu-per-token': bar('CPU per token, 256 streams of 50 tokens/s', 'µs', of('paced-c256', perTokenUs)),
    'cpu-per-token-c32': bar('CPU per token, 32 streams of 50 tokens/s', 'µs', of('paced-c32', perTokenUs), 'log'),
    'cpu-per-request': bar(
      'CPU per request without streaming, 32 at a time',
      'µs',
      of('unary-c32', perRequestUs),
      'log',
    ),
    'transit-p99': bar('Transit of a token, p99, 256 streams', 'ms', of('paced-c256', transitP99Ms), 'log'),
    'peak-memory': bar('Peak memory, 256 streams', 'MB', of('paced-c256', peakMb)),
    'streams-per-core': bar('Streams on one core with no token late by more than 20 ms', 'streams', perCore),
    'engine-idle': bar('Engine idle after its client left, median', 'ms', leaving, 'log'),
  };
  for (const curve of results.scale?.curves ?? []) {
    const peers = [...new Set(curve.points.map(({ peer }) => peer))];
    const values = peers.flatMap((peer) => bendOf(curve, peer).medians.map((point) => ({ peer, ...point })));
    const ys = values.map(({ y }) => y);
    // A cost that falls a hundredfold would leave the rest of its curve on the ground.
    const isWide = Math.max(...ys) > 10 * Math.min(...ys);
    bars[`scale-${curve.name}`] = line(
      curve.title,
      [curve.xTitle, 'log'],
      [curve.yTitle, isWide ? 'log' : 'linear'],
      values,
    );
  }
  if (results.scale !== undefined) {
    const values = results.scale.memory.samples.map(({ requests, rssBytes }) => ({
      ...{ peer: 'mesh', x: requests, y: rssBytes / 1e6 },
    }));
    bars['scale-memory'] = line(
      'Resident memory while requests come and go',
      ['requests', 'linear'],
      ['MB', 'linear'],
      values,
    );
  }
  return Object.fromEntries(Object.entries(bars).flatMap(([name, one]) => (one === undefined ? [] : [[name, one]])));
}

function barsOf(results: Results, workload: string, figure: Figure): Bar[] {
  const peers = [...new Set(results.measurements.map(({ peer }) => peer))].filter((peer) => peer !== DIRECT);
  return peers.flatMap((peer) => {
    const summary = over(results, workload, peer, figure);
    return summary === undefined ? [] : [{ peer, value: summary.median, min: summary.min, max: summary.max }];
  });
}

function bar(
  title: string,
  unit: string,
  bars: readonly Bar[],
  scale: 'linear' | 'log' = 'linear',
): Specification | undefined {
  // Zero has no place on a logarithmic scale.
  const values = scale === 'log' ? bars.filter(({ value }) => value > 0) : bars;
  if (values.length === 0) return undefined;
  const y = { field: 'peer', type: 'nominal', sort: null, title: null };
  const x = { field: 'value', type: 'quantitative', title: unit, scale: { type: scale }, axis: { tickCount: TICKS } };
  // A bar on a logarithmic scale has no beginning, so its length would say nothing: points instead.
  const mark = scale === 'log' ? { type: 'point', filled: true, size: 90 } : { type: 'bar', height: { band: 0.7 } };
  const layer: Specification[] = [{ mark, encoding: { x, color: COLOR } }];
  if (values.every(({ min, max }) => min !== undefined && max !== undefined)) {
    const range = { x: { ...x, field: 'min' }, x2: { field: 'max' } };
    layer.push({ mark: { type: 'rule', color: '#333' }, encoding: range });
  }
  const label = {
    mark: { type: 'text', align: 'left', dx: 8, dy: -9 },
    encoding: { x, text: { field: 'value', format: '.3~r' } },
  };
  return {
    ...LOOK,
    title,
    width: 460,
    height: { step: 30 },
    data: { values },
    encoding: { y },
    layer: [...layer, label],
  };
}

function line(
  title: string,
  [xTitle, xScale]: readonly [string, 'linear' | 'log'],
  [yTitle, yScale]: readonly [string, 'linear' | 'log'],
  values: readonly { readonly peer: string; readonly x: number; readonly y: number }[],
): Specification {
  return {
    ...{ ...LOOK, title, width: 460, height: 220, data: { values } },
    mark: { type: 'line', point: xScale === 'log' },
    encoding: {
      x: { field: 'x', type: 'quantitative', title: xTitle, scale: { type: xScale }, axis: { tickCount: TICKS } },
      y: { field: 'y', type: 'quantitative', title: yTitle, scale: { type: yScale }, axis: { tickCount: TICKS } },
      color: { field: 'peer', type: 'nominal', title: null },
    },
  };
}
