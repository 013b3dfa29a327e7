import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { listenerSettings } from './listener-settings.ts';
import type { ProcessMetrics } from './metrics.ts';
import type { ServerConfig } from './server-config.ts';
import type { HealthState } from './shared/grpc/health.ts';
import type { Authorizer } from './shared/interceptors/authorize.ts';
import type { Closer } from './shared/lifecycle/closer.ts';
import { startListener } from './shared/transport/listener.ts';
import type { Proof } from './shared/transport/proof.ts';
import type { Role } from './shared/transport/roles.ts';
import type { Routes } from './shared/transport/routes.ts';
import type { WorkerResources } from './workers/worker-resources.ts';

/** Within this time every node has tried again to tell a router that was away, in milliseconds. */
const NODES_COME_MS = 2_500;

/** What the port is opened with. */
interface WorkerPortParts {
  readonly server: ServerConfig;
  readonly local: ReadonlyMap<Role, readonly Routes[]>;
  readonly authorizer: Authorizer;
  readonly health: HealthState;
  readonly proof: Proof;
  readonly closer: Closer;
  readonly metrics: Pick<ProcessMetrics, 'handle'>;
}

/**
 * Opens a worker's own port, where nodes announce themselves, before the one that all share; does nothing in other processes.
 *
 * @throws PortUnavailable.
 */
export async function openWorkerPort(
  { asWorker, log }: WorkerResources & { readonly log: Logger },
  { server, local, authorizer, health, proof, closer, metrics }: WorkerPortParts,
): Promise<void> {
  if (!asWorker) return;
  const { host, port } = asWorker.internal;
  const listener = await startListener({
    ...listenerSettings(server, false, log, host),
    ...{ port, routes: local.get('router') ?? [], authorizer, health, log, meshTls: proof.meshTls },
    // The public port leads to any of them.
    fallback: metrics.handle,
  });
  closer.add('port of the worker', () => listener.close());
  // Models of nodes that it has not heard of are unknown to it. Others serve meanwhile.
  if (asWorker.isComplete()) await delay(NODES_COME_MS);
}
