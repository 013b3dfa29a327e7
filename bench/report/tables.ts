import type { Measurement } from '../harness/measure.ts';
import type { Results } from '../harness/results.ts';
import type { Workload } from '../harness/workloads.ts';
import {
  BASE,
  compared,
  DIRECT,
  digits,
  type Figure,
  firstTokenMs,
  firstTokenP99Ms,
  latencyMs,
  latencyP99Ms,
  over,
  peakMb,
  perRequestUs,
  perTokenUs,
  runsOf,
  table,
  transitMs,
  transitP99Ms,
  withRange,
} from './figures.ts';

/** Gateways for LLMs that the mesh is compared with besides the base. */
const OTHER_GATEWAYS = ['portkey', 'litellm'];
/** A peer that brings less than this share of what it would without a gateway has fallen behind. */
const KEEPS_UP = 0.95;

/** One peer under one workload. */
interface Row {
  readonly results: Results;
  readonly workload: string;
  readonly peer: string;
}

type Column = readonly [title: string, cell: (row: Row) => string];

const NONE = '–';

function median(title: string, figure: Figure): Column {
  return [
    title,
    ({ results, workload, peer }) => told(over(results, workload, peer, figure), ({ median }) => digits(median)),
  ];
}

/** Of the process tree, which `direct` does not have. */
function cost(title: string, figure: Figure, isWithRange = true): Column {
  return [
    title,
    ({ results, workload, peer }) =>
      peer === DIRECT
        ? NONE
        : told(over(results, workload, peer, figure), (summary) =>
            isWithRange ? withRange(summary) : digits(summary.median),
          ),
  ];
}

function against(base: string, figure: Figure): Column {
  return [
    `× ${base}`,
    ({ results, workload, peer }) =>
      peer === DIRECT
        ? NONE
        : told(
            compared(results, [workload, peer, base], (run, of) => figure(run) / figure(of)),
            withRange,
          ),
  ];
}

function told<T>(value: T | undefined, text: (value: T) => string): string {
  return value === undefined ? NONE : text(value);
}

/** A rate, and what it should have been where a peer fell behind. */
function rate(title: string, figure: Figure): Column {
  return [
    title,
    ({ results, workload, peer }) => {
      const reached = over(results, workload, peer, figure)?.median ?? 0;
      const asked = over(results, workload, DIRECT, figure)?.median ?? 0;
      return reached < KEEPS_UP * asked ? `could not keep up: ${digits(reached)} of ${digits(asked)}` : digits(reached);
    },
  ];
}

const errors: Column = [
  'errors',
  ({ results, workload, peer }) =>
    String(runsOf(results, workload, peer).reduce((sum, run) => sum + run.load.errors, 0)),
];
const peak = cost('peak MB', peakMb, false);
const loadCore = median('load core %', (run: Measurement) => 100 * run.loadCoreShare);
const ratios = (figure: Figure) => [BASE, ...OTHER_GATEWAYS].map((base) => against(base, figure));
const requestsPerSecond: Figure = (run) => run.load.requestsPerSecond;
const tokensPerSecond: Figure = (run) => run.load.tokensPerSecond;
const addedFirstToken: Column = [
  'added p50 ms',
  ({ results, workload, peer }) =>
    peer === DIRECT
      ? NONE
      : told(
          compared(results, [workload, peer, DIRECT], (run, base) => firstTokenMs(run) - firstTokenMs(base)),
          withRange,
        ),
];
const latency = [median('p50 ms', latencyMs), median('p99 ms', latencyP99Ms)];
const firstToken = [median('first token p50 ms', firstTokenMs), median('p99 ms', firstTokenP99Ms)];
const transit = [median('transit p50 ms', transitMs), median('p99 ms', transitP99Ms)];
const requestCost = [cost('CPU µs/request', perRequestUs), ...ratios(perRequestUs)];
const tokenCost = [cost('CPU µs/token', perTokenUs), ...ratios(perTokenUs)];

const COLUMNS: Record<Workload['kind'], readonly Column[]> = {
  unary: [median('req/s', requestsPerSecond), ...latency, ...requestCost, loadCore, peak, errors],
  'first-token': [...firstToken, addedFirstToken, cost('CPU µs/request', perRequestUs), errors],
  stream: [rate('tokens/s', tokensPerSecond), ...tokenCost, ...firstToken, ...transit, loadCore, peak, errors],
  idle: [median('streams', (run) => run.load.requests), ...[peak, cost('CPU µs/request', perRequestUs), errors]],
  'open-unary': [rate('req/s', requestsPerSecond), ...latency, ...requestCost, loadCore, errors],
  'open-stream': [rate('tokens/s', tokensPerSecond), ...firstToken, ...transit, ...tokenCost, loadCore, errors],
};

/** One Markdown section per workload; medians over the repetitions, lowest–highest in brackets. */
export function workloadTable(workload: Workload, results: Results): string {
  const { name, kind, description } = workload;
  const peers = [...new Set(results.measurements.filter((run) => run.workload === name).map(({ peer }) => peer))];
  // A comparison with a peer that was not measured here would be a column of dashes.
  const isEmpty = ([, cell]: Column) => peers.every((peer) => cell({ results, workload: name, peer }) === NONE);
  const columns = COLUMNS[kind].filter((column) => !isEmpty(column));
  const rows = peers.map((peer) => [peer, ...columns.map(([, cell]) => cell({ results, workload: name, peer }))]);
  const beyond = results.beyond[name] ?? [];
  const left = beyond.length === 0 ? '' : `\n\nLeft out, because it would only show their queue: ${beyond.join(', ')}.`;
  return `### ${name}\n\n${description[0]?.toUpperCase()}${description.slice(1)}.\n\n${table(['peer', ...columns.map(([title]) => title)], rows)}${left}`;
}
