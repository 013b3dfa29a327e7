/**
 * What a token costs the mesh over gRPC, beside nginx and the mesh's own REST: the streams of paced-c256, one process, one
 * connection of a gRPC client.
 * Usage: npm run bench:grpc [-- --repetitions 5]
 * Exit codes: 0 the goal reached, 1 missed or something failed, 78 the machine lacks something.
 */
import { parseArgs } from 'node:util';
import { describeMachine } from './harness/machine.ts';
import { type Measurement, measureInterleaved, warmUp } from './harness/measure.ts';
import { runBenchmark, type Stage } from './harness/stage.ts';
import { type Summary, summarize } from './harness/statistics.ts';
import { readWorkload } from './harness/workloads.ts';
import { mesh } from './peers/mesh.ts';
import { overGrpc } from './peers/mesh-grpc.ts';
import { nginx } from './peers/nginx.ts';

const GOAL_OF_NGINX = 3.5;
const WORKLOAD = 'paced-c256';

const { values: options } = parseArgs({ options: { repetitions: { type: 'string', default: '5' } } });

async function measure(stage: Stage): Promise<boolean> {
  const rest = await stage.start(mesh);
  const peers = new Map([
    ['nginx', await stage.start(nginx)],
    ['mesh, REST', rest],
    ['mesh, gRPC', overGrpc(rest, stage.native.grpcLoad)],
  ]);
  const bench = stage.benchOf(peers);
  await warmUp(bench);
  const runs = await measureInterleaved(bench, [readWorkload(WORKLOAD)], Number(options.repetitions), (run) => {
    const problem = run.load.errors > 0 ? `: ${run.load.errors} errors, first: ${run.load.firstError}` : '';
    console.error(`${run.repetition}/${options.repetitions} ${run.peer}${problem}`);
  });
  const about = Object.entries(describeMachine()).map(([name, value]) => `${name} ${value}`);
  console.log(`${about.join(', ')}, ${options.repetitions} repetitions\n`);
  console.log(
    '| peer | tokens/s | CPU µs/token | × nginx | first token p50 ms | transit p50 ms | p99 ms | load core % | errors |',
  );
  console.log('| --- | --: | --: | --: | --: | --: | --: | --: | --: |');
  const ratios = [...peers.keys()].map((peer) => row(peer, runs).median);
  return runs.every(({ load }) => load.errors === 0) && (ratios.at(-1) ?? Number.POSITIVE_INFINITY) <= GOAL_OF_NGINX;
}

/** Prints a row and returns the CPU per token as a multiple of nginx's in the same repetition. */
function row(peer: string, runs: readonly Measurement[]): Summary {
  const own = runs.filter((run) => run.peer === peer);
  const over = (figure: (run: Measurement) => number) => summarize(own.map(figure));
  const perToken = (run: Measurement) => run.cpuUs / run.load.tokens;
  const base = (run: Measurement) =>
    runs.find((other) => other.peer === 'nginx' && other.repetition === run.repetition);
  const ratio = over((run) => perToken(run) / perToken(base(run) ?? run));
  const range = ({ median, min, max }: Summary) => `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
  const cells = [
    over(({ load }) => load.tokensPerSecond).median.toFixed(0),
    range(over(perToken)),
    range(ratio),
    ...[
      over(({ load }) => load.firstTokenP50Us),
      over(({ load }) => load.transitP50Us),
      over(({ load }) => load.transitP99Us),
    ].map(({ median }) => (median / 1_000).toFixed(2)),
    (over((run) => run.loadCoreShare).median * 100).toFixed(1),
    String(own.reduce((sum, { load }) => sum + load.errors, 0)),
  ];
  console.log(`| ${peer} | ${cells.join(' | ')} |`);
  return ratio;
}

await runBenchmark({ nginx: true }, measure);
