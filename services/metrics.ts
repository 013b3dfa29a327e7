import type { Logger } from 'pino';
import { type MetricsPortParts, openMetricsPort } from './metrics-port.ts';
import type { ObservabilityConfig } from './observability-config.ts';
import type { ServerConfig } from './server-config.ts';
import { createMetrics, type Metrics } from './shared/observability/metrics.ts';
import { createMetricsHandler } from './shared/observability/metrics-handler.ts';
import {
  createMetricsReader,
  type MetricsReaderParts,
  type ReadMetrics,
} from './shared/observability/metrics-reader.ts';
import type { FallbackHandler } from './shared/transport/exchange.ts';
import type { Role } from './shared/transport/roles.ts';

/** The metrics of a process, and the ways to them. */
export interface ProcessMetrics {
  /** Where services count. Unset: nobody can read them, so nothing is counted. */
  readonly metrics: Metrics | undefined;
  /** What callers get who ask for them on the port that they use. */
  readonly readMetrics: ReadMetrics;
  /** The same as a request handler, for a port without a facade. */
  readonly handle: FallbackHandler;
  /**
   * Opens the port of their own, where there is to be one.
   *
   * @throws PortUnavailable.
   */
  openPort(parts: Pick<MetricsPortParts, 'health' | 'authorizer' | 'closer'>): Promise<void>;
}

/** What metrics are told of, and how. */
export interface MetricsSettings {
  readonly observability: ObservabilityConfig;
  readonly server: ServerConfig;
  readonly roles: ReadonlySet<Role>;
}

/** Makes the metrics of a process. */
export function openMetrics(
  { observability, server, roles }: MetricsSettings,
  { version, log, authenticate }: { version: string; log: Logger } & Pick<MetricsReaderParts, 'authenticate'>,
): ProcessMetrics {
  const { metrics_access: access, metrics_port: port, metrics_most_users: mostUsers } = observability;
  const isRead = access !== 'off' || port !== undefined;
  const metrics = isRead ? createMetrics({ version, roles, mostUsers }) : undefined;
  const readMetrics = createMetricsReader({ metrics, access, authenticate });
  return {
    metrics,
    readMetrics,
    handle: createMetricsHandler(readMetrics),
    async openPort(parts) {
      if (port !== undefined && metrics) await openMetricsPort(port, { ...parts, server, metrics, log });
    },
  };
}
