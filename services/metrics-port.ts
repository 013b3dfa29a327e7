import type { Logger } from 'pino';
import type { ServerConfig } from './server-config.ts';
import type { HealthState } from './shared/grpc/health.ts';
import type { Authorizer } from './shared/interceptors/authorize.ts';
import type { Closer } from './shared/lifecycle/closer.ts';
import { createMetricsHandler } from './shared/observability/metrics-handler.ts';
import type { ReadText } from './shared/observability/metrics-reader.ts';
import { startListener } from './shared/transport/listener.ts';

/** Connections at a time: more readers than a process ever has. */
const MOST_CONNECTIONS = 200;

/** What the port of metrics is opened with. */
export interface MetricsPortParts {
  readonly server: Pick<ServerConfig, 'host' | 'allowed_hosts'>;
  readonly text: ReadText;
  readonly health: HealthState;
  readonly authorizer: Authorizer;
  readonly closer: Closer;
  readonly log: Logger;
}

/**
 * Tells metrics on a port of their own, to whoever reaches it. 0 picks a free one; the log says which.
 *
 * @throws PortUnavailable.
 */
export async function openMetricsPort(port: number, parts: MetricsPortParts): Promise<void> {
  const { server, text, health, authorizer, closer, log } = parts;
  const listener = await startListener({
    ...{ host: server.host, port, health, authorizer, log },
    allowedHosts: server.allowed_hosts,
    maxConnections: MOST_CONNECTIONS,
    routes: [],
    fallback: createMetricsHandler(text),
  });
  closer.add('metrics', () => listener.close());
  log.info({ url: `${listener.url}/metrics` }, 'metrics have a port of their own');
}
