/**
 * Measures the mesh beside other gateways in one interleaved run and prints Markdown; see bench/README.md.
 * Usage: sh bin/node.sh bench/run.ts [--peers a,b] [--workloads a,b] [--repetitions 3] [--startup-runs 5]
 * Exit codes: 0 measured, 1 some requests failed or a peer broke, 78 the machine lacks something.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePort, httpStatus, startChild, stopAllChildren, untilReady } from './harness/child.ts';
import { describeMachine } from './harness/machine.ts';
import { type Bench, measureInterleaved, warmUp } from './harness/measure.ts';
import { compileNative, missingRequirements } from './harness/native.ts';
import { readTreeUsage } from './harness/process-tree.ts';
import { idleMemoryTable, startupTable, workloadTable } from './harness/report.ts';
import { measureStartup } from './harness/startup.ts';
import { readWorkload } from './harness/workloads.ts';
import { direct } from './peers/direct.ts';
import { mesh, meshSplit } from './peers/mesh.ts';
import { nginx } from './peers/nginx.ts';
import { nodeProxy } from './peers/node-proxy.ts';
import type { Peer, RunningPeer } from './peers/peer.ts';
import { portkey } from './peers/portkey.ts';

const PEERS: readonly Peer[] = [direct, nginx, nodeProxy, portkey, mesh, meshSplit];
const WORKLOADS = ['unary-c32', 'ttft-c1', 'paced-c32', 'paced-c256', 'lock-c256', 'idle-c2000'];
/** Engine and load client share one CPU, the gateways have the other to themselves. */
const LOAD_CORE = 0;
const GATEWAY_CORE = 1;
const IDLE_MS = 5_000;

// Nothing else of the developer's environment reaches a peer: REDIS_URL or MESH_* would change what is measured.
const { PATH = '', HOME = '' } = process.env;
const environment = { PATH, HOME };

const interruption = new AbortController();

const { values: options } = parseArgs({
  options: {
    peers: { type: 'string', default: PEERS.map((peer) => peer.name).join() },
    workloads: { type: 'string', default: WORKLOADS.join() },
    repetitions: { type: 'string', default: '3' },
    'startup-runs': { type: 'string', default: '5' },
  },
});

async function main(): Promise<number> {
  const peers = options.peers.split(',').map((name) => {
    const found = PEERS.find((peer) => peer.name === name);
    if (found === undefined) throw new Error(`--peers: no peer ${name}; there are ${PEERS.map((p) => p.name).join()}`);
    return found;
  });
  const workloads = options.workloads.split(',').filter(Boolean).map(readWorkload);
  const missing = missingRequirements({ nginx: peers.includes(nginx), portkey: peers.includes(portkey) });
  if (missing.length > 0) {
    console.error(`The benchmark needs:\n${missing.map((line) => `  ${line}`).join('\n')}`);
    return 78;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'inference-mesh-bench-'));
  try {
    return await measure(peers, workloads, scratch);
  } finally {
    await stopAllChildren();
    rmSync(scratch, { recursive: true });
  }
}

async function measure(
  peers: readonly Peer[],
  workloads: readonly ReturnType<typeof readWorkload>[],
  scratch: string,
): Promise<number> {
  const machine = describeMachine();
  const repetitions = Number(options.repetitions);
  const { bench, idle } = await startBench(peers, scratch);
  await warmUp(bench);
  const measurements = await measureInterleaved(bench, workloads, repetitions, (run) => {
    const { repetition, workload, peer, load } = run;
    const problem = load.errors > 0 ? `: ${load.errors} errors, first: ${load.firstError}` : '';
    console.error(`${repetition}/${repetitions} ${workload} ${peer}${problem}`);
  });
  await stopAllChildren();
  const startupRuns = Number(options['startup-runs']);
  const startup =
    peers.includes(mesh) && startupRuns > 0 ? await measureStartup(scratch, startupRuns, environment) : undefined;

  const tables = workloads.map((workload) => workloadTable(workload, measurements));
  tables.push(idleMemoryTable(idle), ...(startup === undefined ? [] : [startupTable(startup)]));
  const about = Object.entries({ ...machine, repetitions }).map(([name, value]) => `${name} ${value}`);
  console.log(`${about.join(', ')}\n\n${tables.join('\n\n')}`);
  const file = writeResults({ machine, repetitions, workloads, idle, startup, measurements });
  console.error(`\nAll figures: ${file}`);
  return measurements.some((run) => run.load.errors > 0) ? 1 : 0;
}

async function startBench(peers: readonly Peer[], scratch: string) {
  const native = compileNative();
  const enginePort = await freePort();
  const engine = startChild([native.engine, String(enginePort)], { core: LOAD_CORE, cwd: scratch, environment });
  await untilReady(engine, async () => (await httpStatus(`http://127.0.0.1:${enginePort}/health`)) === 200);
  const running = new Map<string, RunningPeer>();
  for (const peer of peers) {
    const directory = join(scratch, peer.name);
    mkdirSync(directory);
    running.set(peer.name, await peer.start({ enginePort, directory, core: GATEWAY_CORE, environment }));
  }
  await delay(IDLE_MS);
  const idle = [...running].flatMap(([peer, { child }]) =>
    child === undefined ? [] : [{ peer, ...readTreeUsage(child.pid) }],
  );
  const bench: Bench = {
    peers: running,
    enginePid: engine.pid,
    loadProgram: native.load,
    loadCore: LOAD_CORE,
    scratch,
    signal: interruption.signal,
  };
  return { bench, idle };
}

function writeResults(results: object): string {
  const directory = join(import.meta.dirname, 'results');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${new Date().toISOString().replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
  return file;
}

// Ending the children makes whatever waits for them fail, so the run unwinds through its own clean-up.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interruption.abort(new Error(`interrupted by ${signal}`));
    stopAllChildren();
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(interruption.signal.aborted ? interruption.signal.reason.message : error);
  process.exitCode = 1;
}
