import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { Mesh, MeshResources } from './compose.ts';
import { type Config, loadConfig } from './config.ts';
import { loadEnvironment } from './flags.ts';
import { importForeign } from './import.ts';
import { openObservability } from './observability.ts';
import { exitCodeOf } from './shared/lifecycle/exit-code.ts';
import { masked } from './shared/lifecycle/masked.ts';
import { requireNode } from './shared/lifecycle/node-version.ts';
import { startMessage } from './shared/lifecycle/start-message.ts';
import { createLogger } from './shared/observability/logger.ts';
import { printable } from './shared/observability/printable.ts';
import { assignedConfig, type SentConfig, startMesh, startWorker } from './start-mesh.ts';
import { startTraces } from './traces.ts';
import { tracesVariables } from './traces-config.ts';
import { isWorker, joinPool, type WorkerProcess } from './workers/worker-process.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Runs a process of the mesh until a signal ends it. */
async function main(): Promise<void> {
  requireNode(process.versions.node);
  // V8 lets a heap of 55 MB grow to twice that before it looks what is still needed; looking sooner takes a few percent of a loaded core.
  setFlagsFromString('--heap-growing-percent=25');
  const stopping = new AbortController();
  const stop = (): void => {
    // The second signal does not wait for streams; engines are ended by their guards when this process is gone.
    if (stopping.signal.aborted) process.exit(0);
    stopping.abort();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const argv = process.argv.slice(2);
  const environment = loadEnvironment(argv, process.env, process.cwd());
  const worker = isWorker ? await joinPool<SentConfig>(() => stopping.abort()) : undefined;
  const config = worker ? assignedConfig(worker) : loadConfig(argv, environment, process.cwd());
  if (config.checkOnly) {
    const { checkOnly: _, imports: _imports, ...shown } = config;
    process.stdout.write(`${JSON.stringify(masked(shown), null, 2)}\n`);
    return;
  }
  if (config.imports.length > 0) {
    const log = createLogger({ level: config.observability.log_level });
    process.stdout.write(await importForeign(config, config.imports, { workingDirectory: process.cwd(), log }));
    return;
  }
  await serve(config, environment, stopping.signal, worker);
}

async function serve(
  config: Config,
  environment: NodeJS.ProcessEnv,
  stop: AbortSignal,
  worker: WorkerProcess<SentConfig> | undefined,
): Promise<void> {
  const { stdout, stderr } = process;
  const observability = openObservability(config.observability, { stdout, stderr, workingDirectory: process.cwd() });
  const { log } = observability;
  process.on('uncaughtExceptionMonitor', (err, origin) => log.fatal({ err, origin }, 'crashed'));
  process.on('exit', () => observability.flushSync());
  const variables = tracesVariables(config.observability, environment);
  // The SDK of OpenTelemetry reads its settings there, `.env` and the configuration file included.
  Object.assign(process.env, variables);
  const endTraces = variables && (await startTraces(config.observability, { ...config, version, log }));
  try {
    await run(config, environment, { observability, log, stop }, worker);
  } finally {
    await endTraces?.();
    await observability.close();
  }
}

async function run(
  config: Config,
  environment: NodeJS.ProcessEnv,
  { stop, ...seen }: Pick<MeshResources, 'observability' | 'log' | 'stop'>,
  worker: WorkerProcess<SentConfig> | undefined,
): Promise<void> {
  let mesh: Mesh;
  try {
    const resources: MeshResources = {
      ...seen,
      version,
      now: Date.now,
      nodePath: process.execPath,
      environmentVariable: (name) => environment[name],
      terminal: process.stderr,
      stop,
    };
    mesh = worker ? await startWorker(config, worker, resources) : await startMesh(config, environment, resources);
  } catch (error) {
    // Asked to stop before it ran.
    if (error === stop.reason) return;
    throw error;
  }
  const asked = new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
  if (!worker) void mesh.summary().then((summary) => process.stdout.write(startMessage(summary)));
  if (!stop.aborted) await asked;
  seen.log.info('stopping');
  await mesh.stop();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const { code, message } = exitCodeOf(error);
    process.stderr.write(`inference-mesh: ${printable(message)}\n`);
    process.exit(code);
  },
);
