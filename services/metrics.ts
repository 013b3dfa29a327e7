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
  type ReadText,
} from './shared/observability/metrics-reader.ts';
import type { FallbackHandler } from './shared/transport/exchange.ts';
import type { Role } from './shared/transport/roles.ts';
import { gatherFromWorkers } from './workers/worker-metrics.ts';
import type { WorkerResources } from './workers/worker-resources.ts';

/** The metrics of a process, and the ways to them. */
export interface ProcessMetrics {
  /** Where services count. Unset: nobody can read them, so nothing is counted. */
  readonly metrics: Metrics | undefined;
  /** What callers get who ask for them on the port that they use: with workers those of all processes together. */
  readonly readMetrics: ReadMetrics;
  /** Those of this process alone as a request handler, for a port without a facade. */
  readonly handle: FallbackHandler;
  /**
   * Opens the port of their own, where there is to be one: one for all workers.
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

/** What metrics are made with. */
export interface MetricsParts extends WorkerResources, Pick<MetricsReaderParts, 'authenticate'> {
  readonly version: string;
  readonly log: Logger;
}

/** Makes the metrics of a process. */
export function openMetrics(
  { observability, server, roles }: MetricsSettings,
  { version, log, authenticate, workers, asWorker }: MetricsParts,
): ProcessMetrics {
  const { metrics_access: access, metrics_port: port, metrics_most_users: mostUsers } = observability;
  const isRead = access !== 'off' || port !== undefined;
  const metrics = isRead ? createMetrics({ version, roles, mostUsers }) : undefined;
  const own = metrics && (() => metrics.text());
  const whole = metrics && workers ? gatherFromWorkers(metrics) : (asWorker?.metrics.all ?? own);
  if (metrics) asWorker?.metrics.tell(() => metrics.families());
  const readerOf = (text: ReadText | undefined) => createMetricsReader({ text, access, authenticate });
  return {
    metrics,
    readMetrics: readerOf(metrics && whole),
    handle: createMetricsHandler(readerOf(own)),
    async openPort(parts) {
      if (port === undefined || !whole || asWorker) return;
      await openMetricsPort(port, { ...parts, server, text: whole, log });
    },
  };
}
