import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort, httpStatus, startChild, untilReady } from './child.ts';
import { readTreeUsage } from './process-tree.ts';

const root = join(import.meta.dirname, '..', '..');
/** Long enough for start-up work (compiling, garbage) to settle, short enough to run often. */
const IDLE_MS = 5_000;

/** One start of the whole mesh with the model that ships. */
export interface Startup {
  /** From spawn to the first 200 of `GET /readyz`. */
  readonly readyMs: number;
  /** Resident memory after 5 s without a request: the mesh process, and its descendants (engine child). */
  readonly meshRssBytes: number;
  readonly descendantsRssBytes: number;
}

export interface StartupFigures {
  /** Data directory empty: keys, pepper and database are made. */
  readonly first: Startup;
  /** Data directory of the first start. */
  readonly later: readonly Startup[];
}

/** Starts and stops the mesh `1 + runs` times on one data directory, with all CPUs. */
export async function measureStartup(
  scratch: string,
  runs: number,
  environment: Record<string, string>,
): Promise<StartupFigures> {
  const directory = mkdtempSync(join(scratch, 'startup-'));
  const first = await startOnce(directory, environment);
  const later: Startup[] = [];
  for (let run = 0; run < runs; run++) later.push(await startOnce(directory, environment));
  return { first, later };
}

async function startOnce(directory: string, environment: Record<string, string>): Promise<Startup> {
  const port = await freePort();
  const workingDirectory = join(directory, 'cwd'); // empty: no mesh.yaml or .env of the developer
  mkdirSync(workingDirectory, { recursive: true });
  const flags = ['--port', String(port), '--data-dir', join(directory, 'data')];
  const startedAtMs = performance.now();
  const child = startChild(['sh', join(root, 'bin/node.sh'), join(root, 'services/main.ts'), ...flags], {
    cwd: workingDirectory,
    environment,
  });
  await untilReady(child, async () => (await httpStatus(`http://127.0.0.1:${port}/readyz`)) === 200);
  const readyMs = performance.now() - startedAtMs;
  await delay(IDLE_MS);
  const usage = readTreeUsage(child.pid);
  const exitCode = await child.stop();
  if (exitCode !== 0) throw new Error(`the mesh ended with ${exitCode} after SIGTERM, expected 0`);
  return { readyMs, meshRssBytes: usage.mainRssBytes, descendantsRssBytes: usage.rssBytes - usage.mainRssBytes };
}
