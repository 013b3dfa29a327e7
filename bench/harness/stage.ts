import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Peer, RunningPeer } from '../peers/peer.ts';
import { type Child, freePort, httpStatus, startChild, stopAllChildren, untilReady } from './child.ts';
import type { Bench } from './measure.ts';
import { compileNative, missingRequirements, type NativePrograms } from './native.ts';

/** Engine and load client share one CPU, the gateways have the other to themselves. */
export const LOAD_CORE = 0;
export const GATEWAY_CORE = 1;

// Nothing else of the developer's environment reaches a peer: REDIS_URL or MESH_* would change what is measured.
const { PATH = '', HOME = '' } = process.env;
export const environment = { PATH, HOME };

/** Where a benchmark takes place: the mock engine runs, the programs are compiled. */
export interface Stage {
  readonly native: NativePrograms;
  readonly scratch: string;
  readonly enginePort: number;
  readonly engine: Child;
  /** Starts a peer on the gateways' CPU, in a directory of its own. */
  start(peer: Peer, variables?: Readonly<Record<string, string>>): Promise<RunningPeer>;
  /** Ends all peers; the engine goes on. */
  clear(): Promise<void>;
  /** What measureInterleaved needs, with these peers. */
  benchOf(peers: ReadonlyMap<string, RunningPeer>): Bench;
}

/** Sets the stage, runs `act` on it and clears it away, whatever happens. `signal` ends the load early. */
export async function onStage<T>(signal: AbortSignal, act: (stage: Stage) => Promise<T>): Promise<T> {
  const native = compileNative();
  const scratch = mkdtempSync(join(tmpdir(), 'inference-mesh-bench-'));
  try {
    const enginePort = await freePort();
    const engine = startChild([native.engine, String(enginePort)], { core: LOAD_CORE, cwd: scratch, environment });
    await untilReady(engine, async () => (await httpStatus(`http://127.0.0.1:${enginePort}/health`)) === 200);
    const started: RunningPeer[] = [];
    return await act({
      ...{ native, scratch, enginePort, engine },
      start: async (peer, variables = {}) => {
        const directory = mkdtempSync(join(scratch, `${peer.name.replaceAll(/\W+/g, '-')}-`));
        const context = { enginePort, directory, core: GATEWAY_CORE, environment: { ...environment, ...variables } };
        const running = await peer.start(context);
        started.push(running);
        return running;
      },
      clear: async () => {
        await Promise.all(started.splice(0).map(({ child }) => child?.stop()));
      },
      benchOf: (peers) => ({
        ...{ peers, enginePid: engine.pid, loadProgram: native.load, loadCore: LOAD_CORE, scratch, signal },
      }),
    });
  } finally {
    await stopAllChildren();
    rmSync(scratch, { recursive: true });
  }
}

/**
 * The whole of a benchmark with one answer: says what the machine lacks and leaves with 78, or acts and leaves with 0 when every goal was
 * reached, else with 1.
 */
export async function runBenchmark(
  needs: Parameters<typeof missingRequirements>[0],
  act: (stage: Stage) => Promise<boolean>,
): Promise<void> {
  const missing = missingRequirements(needs);
  if (missing.length > 0) {
    console.error(`The benchmark needs:\n${missing.map((line) => `  ${line}`).join('\n')}`);
    process.exitCode = 78;
    return;
  }
  if (!(await onStage(new AbortController().signal, act))) process.exitCode = 1;
}
