/**
 * What a token costs the mesh over gRPC, beside nginx and the mesh's own REST: the streams of paced-c256, one process, one
 * connection of a gRPC client.
 * Usage: npm run bench:grpc [-- --repetitions 5]
 * Exit codes: 0 the goal reached, 1 missed or something failed, 78 the machine lacks something.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort, httpStatus, startChild, stopAllChildren, untilReady } from './harness/child.ts';
import { describeMachine } from './harness/machine.ts';
import { type Measurement, measureInterleaved, warmUp } from './harness/measure.ts';
import { compileNative, missingRequirements } from './harness/native.ts';
import { type Summary, summarize } from './harness/statistics.ts';
import { readWorkload } from './harness/workloads.ts';
import { mesh } from './peers/mesh.ts';
import { overGrpc } from './peers/mesh-grpc.ts';
import { nginx } from './peers/nginx.ts';
import type { Peer, RunningPeer } from './peers/peer.ts';

const GOAL_OF_NGINX = 3.5;
const LOAD_CORE = 0;
const GATEWAY_CORE = 1;
const WORKLOAD = 'paced-c256';

const { PATH = '', HOME = '' } = process.env;
const environment = { PATH, HOME };
const { values: options } = parseArgs({ options: { repetitions: { type: 'string', default: '5' } } });

async function measure(scratch: string): Promise<boolean> {
  const native = compileNative();
  const enginePort = await freePort();
  const engine = startChild([native.engine, String(enginePort)], { core: LOAD_CORE, cwd: scratch, environment });
  await untilReady(engine, async () => (await httpStatus(`http://127.0.0.1:${enginePort}/health`)) === 200);
  const start = (peer: Peer): Promise<RunningPeer> => {
    const directory = join(scratch, peer.name);
    mkdirSync(directory);
    return peer.start({ enginePort, directory, core: GATEWAY_CORE, environment });
  };
  const rest = await start(mesh);
  const peers = new Map([
    ['nginx', await start(nginx)],
    ['mesh, REST', rest],
    ['mesh, gRPC', overGrpc(rest, native.grpcLoad)],
  ]);
  const bench = {
    ...{ peers, enginePid: engine.pid, loadProgram: native.load, loadCore: LOAD_CORE, scratch },
    signal: new AbortController().signal,
  };
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

const missing = missingRequirements({ nginx: true });
if (missing.length > 0) {
  console.error(`The benchmark needs:\n${missing.map((line) => `  ${line}`).join('\n')}`);
  process.exit(78);
}
const scratch = mkdtempSync(join(tmpdir(), 'inference-mesh-bench-'));
try {
  if (!(await measure(scratch))) process.exitCode = 1;
} finally {
  await stopAllChildren();
  rmSync(scratch, { recursive: true });
}
