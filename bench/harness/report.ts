import type { Measurement } from './measure.ts';
import type { StartupFigures } from './startup.ts';
import { type Summary, summarize } from './statistics.ts';
import type { Workload } from './workloads.ts';

/** The peers that CPU ratios refer to, and the one that added time to first token refers to. */
const CPU_BASE = 'nginx';
const OTHER_GATEWAY = 'portkey';
const LATENCY_BASE = 'direct';
/** The peers whose difference is the trunk. */
const WHOLE = 'mesh';
const SPLIT = 'mesh-split';

type Column = readonly [title: string, cell: (row: Row) => string];

/** All repetitions of one peer under one workload, with the bases of the same repetitions. */
interface Row {
  readonly peer: string;
  readonly runs: readonly Measurement[];
  readonly base: (peer: string, repetition: number) => Measurement | undefined;
}

const mib = (bytes: number) => (bytes / 1048576).toFixed(0);
const digits = (value: number) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
const median = (row: Row, figure: (run: Measurement) => number) => digits(summarize(row.runs.map(figure)).median);
const withRange = ({ median, min, max }: Summary) => `${digits(median)} (${digits(min)}–${digits(max)})`;

const perRequestUs = (run: Measurement) => run.cpuUs / run.load.requests;
const perTokenUs = (run: Measurement) => run.cpuUs / run.load.tokens;

/** Cell for a figure of the process tree, which `direct` does not have. */
const ofTree = (cell: (row: Row) => string) => (row: Row) => (row.peer === LATENCY_BASE ? '–' : cell(row));

const spread = (figure: (run: Measurement) => number) => ofTree((row) => withRange(summarize(row.runs.map(figure))));

/** Compares repetition by repetition, so that drift of the machine cancels out. */
function against(basePeer: string, compare: (run: Measurement, base: Measurement) => number) {
  return (row: Row) => {
    const values = row.runs.flatMap((run) => {
      const base = row.base(basePeer, run.repetition);
      return base === undefined ? [] : [compare(run, base)];
    });
    return values.length === 0 ? '–' : withRange(summarize(values));
  };
}

const ratio = (figure: (run: Measurement) => number, basePeer: string = CPU_BASE) =>
  ofTree(against(basePeer, (run, base) => figure(run) / figure(base)));

/** What the mesh in two processes costs more than in one, in units of the base. */
const addedByTrunk = (row: Row): string => {
  if (row.peer !== SPLIT) return '–';
  const values = row.runs.flatMap((run) => {
    const [base, whole] = [CPU_BASE, WHOLE].map((peer) => row.base(peer, run.repetition));
    return base && whole ? [(perTokenUs(run) - perTokenUs(whole)) / perTokenUs(base)] : [];
  });
  return values.length === 0 ? '–' : withRange(summarize(values));
};

const errors: Column = ['errors', (row) => String(row.runs.reduce((sum, run) => sum + run.load.errors, 0))];
const peak: Column = ['peak MiB', ofTree((row) => mib(summarize(row.runs.map((run) => run.peakRssBytes)).median))];
const mainPeak: Column = [
  'peak MiB, main process',
  ofTree((row) => mib(summarize(row.runs.map((run) => run.mainPeakRssBytes)).median)),
];
const loadCore: Column = ['load core %', (row) => median(row, (run) => 100 * run.loadCoreShare)];

const COLUMNS: Record<Workload['kind'], readonly Column[]> = {
  unary: [
    ['req/s', (row) => median(row, (run) => run.load.requestsPerSecond)],
    ['p50 ms', (row) => median(row, (run) => run.load.latencyP50Us / 1e3)],
    ['p99 ms', (row) => median(row, (run) => run.load.latencyP99Us / 1e3)],
    ['CPU µs/request', spread(perRequestUs)],
    [`× ${CPU_BASE}`, ratio(perRequestUs)],
    [`× ${OTHER_GATEWAY}`, ratio(perRequestUs, OTHER_GATEWAY)],
    loadCore,
    peak,
    errors,
  ],
  'first-token': [
    ['first token p50 ms', (row) => median(row, (run) => run.load.firstTokenP50Us / 1e3)],
    ['p99 ms', (row) => median(row, (run) => run.load.firstTokenP99Us / 1e3)],
    [
      'added p50 ms',
      ofTree(against(LATENCY_BASE, (run, base) => (run.load.firstTokenP50Us - base.load.firstTokenP50Us) / 1e3)),
    ],
    ['CPU µs/request', spread(perRequestUs)],
    errors,
  ],
  stream: [
    ['tokens/s', (row) => median(row, (run) => run.load.tokensPerSecond)],
    ['CPU µs/token', spread(perTokenUs)],
    [`× ${CPU_BASE}`, ratio(perTokenUs)],
    [`× ${OTHER_GATEWAY}`, ratio(perTokenUs, OTHER_GATEWAY)],
    [`trunk adds, × ${CPU_BASE}`, addedByTrunk],
    ['first token p50 ms', (row) => median(row, (run) => run.load.firstTokenP50Us / 1e3)],
    ['p99 ms', (row) => median(row, (run) => run.load.firstTokenP99Us / 1e3)],
    ['transit p50 ms', (row) => median(row, (run) => run.load.transitP50Us / 1e3)],
    ['p99 ms', (row) => median(row, (run) => run.load.transitP99Us / 1e3)],
    loadCore,
    peak,
    errors,
  ],
  idle: [
    ['streams', (row) => median(row, (run) => run.load.requests)],
    mainPeak,
    peak,
    ['CPU µs/request', spread(perRequestUs)],
    errors,
  ],
};

/** One Markdown section per workload; medians over the repetitions, lowest–highest in brackets. */
export function workloadTable(workload: Workload, measurements: readonly Measurement[]): string {
  const runs = measurements.filter((run) => run.workload === workload.name);
  const peers = [...new Set(runs.map((run) => run.peer))];
  const base = (peer: string, repetition: number) =>
    runs.find((run) => run.peer === peer && run.repetition === repetition);
  const columns = COLUMNS[workload.kind];
  const rows = peers.map((peer) => {
    const row = { peer, runs: runs.filter((run) => run.peer === peer), base };
    return [peer, ...columns.map(([, cell]) => cell(row))];
  });
  return `**${workload.name}** – ${workload.description}\n\n${table(['peer', ...columns.map(([title]) => title)], rows)}`;
}

/** Resident memory after start, before the first request. */
export function idleMemoryTable(idle: readonly { peer: string; mainRssBytes: number; rssBytes: number }[]): string {
  const rows = idle.map((one) => [one.peer, mib(one.mainRssBytes), mib(one.rssBytes)]);
  return `**Idle memory**\n\n${table(['peer', 'main process MiB', 'process tree MiB'], rows)}`;
}

export function startupTable({ first, later }: StartupFigures): string {
  const row = (name: string, runs: StartupFigures['later']) => [
    name,
    withRange(summarize(runs.map((run) => run.readyMs / 1e3))),
    mib(summarize(runs.map((run) => run.meshRssBytes)).median),
    mib(summarize(runs.map((run) => run.descendantsRssBytes)).median),
  ];
  const titles = ['start of the mesh, shipped model', 'ready s', 'idle MiB, mesh process', 'idle MiB, its children'];
  return `**Start**\n\n${table(titles, [row('empty data directory', [first]), row(`again, ${later.length} runs`, later)])}`;
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(titles), line(titles.map((_, i) => (i === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
