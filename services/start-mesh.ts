import { composeMesh, type Mesh, type MeshResources } from './compose.ts';
import type { Config } from './config.ts';
import { freePorts, publicPort } from './workers/free-ports.ts';
import { type InternalAddresses, parentConfig, workerConfig } from './workers/worker-plan.ts';
import { createWorkerPool } from './workers/worker-pool.ts';
import type { WorkerProcess } from './workers/worker-process.ts';

/** A configuration that a worker can be sent: without functions. */
export type SentConfig = Omit<Config, 'originOf'>;

/** Internal ports that nobody named are for this machine alone. */
const LOOPBACK = '127.0.0.1';

/**
 * Starts what this process is told to run: itself, or with `server.workers` all but the facade, and workers for callers.
 *
 * @throws as composeMesh; ConfigError, TemporaryError or Error when a worker could not start.
 */
export async function startMesh(
  config: Config,
  environment: NodeJS.ProcessEnv,
  resources: MeshResources,
): Promise<Mesh> {
  if (config.server.workers === 1) return await composeMesh(config, resources);
  const addresses = await internalAddresses(config);
  const port = await publicPort(config.server.host, config.port);
  const pool = createWorkerPool<SentConfig>({
    ...{ count: config.server.workers, environment, log: resources.log },
    assign: (index) => {
      const { originOf: _, ...sent } = workerConfig(config, addresses, port);
      return { config: sent, internal: { host: addresses.host, port: addresses.ports[index] ?? 0 } };
    },
  });
  try {
    const mesh = await composeMesh(parentConfig(config, addresses), { ...resources, workers: pool });
    return {
      stop: () => mesh.stop(),
      summary: async () => ({
        ...(await mesh.summary()),
        url: await pool.start(),
        roles: [...config.roles],
        isPublic: true,
      }),
    };
  } catch (error) {
    await pool.drain(0);
    // A signal from a terminal reaches the workers too, and a start that was to end has not failed.
    throw resources.stop.aborted ? resources.stop.reason : error;
  }
}

/** The configuration that a worker was sent. It was checked where it was read. */
export function assignedConfig({ assignment }: WorkerProcess<SentConfig>): Config {
  return { ...assignment.config, originOf: (path) => path.join('.') };
}

/**
 * Starts what a worker runs.
 *
 * @throws as composeMesh.
 */
export async function startWorker(
  config: Config,
  { assignment, isComplete, ready, metrics }: WorkerProcess<SentConfig>,
  resources: MeshResources,
): Promise<Mesh> {
  const mesh = await composeMesh(config, {
    ...resources,
    asWorker: { internal: assignment.internal, isComplete, metrics },
  });
  ready((await mesh.summary()).url);
  return mesh;
}

async function internalAddresses({ server }: Config): Promise<InternalAddresses> {
  const { workers, worker_port: first, host } = server;
  const ports = first === undefined ? await freePorts(workers + 1, LOOPBACK) : consecutive(first, workers + 1);
  const [own = 0, ...others] = ports;
  return { host: first === undefined ? LOOPBACK : host, ports: [own, ...others] };
}

function consecutive(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}
