import { resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError } from './shared/lifecycle/config-source.ts';
import { TRACES_FIELDS } from './traces-config.ts';

/** The section `observability`: what of the process is seen from outside. */
export const observabilityConfigSchema = z.strictObject({
  /** The least level that is logged. */
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  /**
   * Where log files lie; "none" writes none, and requests go to standard output as everything else does. Unset: `logs` in the
   * working directory, where that can be written.
   */
  log_dir: z.string().min(1).optional(),
  /** How large a log file grows before the next one of the day is begun, in bytes. */
  log_file_bytes: z.int().min(10_000).max(10_000_000_000).default(100_000_000),
  /** How many files of each kind (app, requests, errors) are kept; older ones are removed when a new one is begun. */
  log_keep_files: z.int().min(1).max(10_000).default(30),
  /** Whether request lines hold what callers sent and were answered. Secrets are removed from them all the same. */
  log_bodies: z.boolean().default(false),
  /** Who may read `GET /metrics` on the port that callers use: anybody, keys with the scope `admin`, or nobody. */
  metrics_access: z.enum(['open', 'admin', 'off']).default('open'),
  /** A port on which metrics are told to whoever reaches it; it binds `server.host`. 0 picks a free one. Unset: none. */
  metrics_port: z.int().min(0).max(65_535).optional(),
  /** How many users `api_tokens_total` tells apart, the first that come; all later ones share "other". */
  metrics_most_users: z.int().min(0).max(100_000).default(200),
  ...TRACES_FIELDS,
});

/** See observabilityConfigSchema. */
export type ObservabilityConfig = z.output<typeof observabilityConfigSchema>;

/** The same with its path from the root. */
export function withAbsoluteLogDir(observability: ObservabilityConfig, workingDirectory: string): ObservabilityConfig {
  const { log_dir: logDir } = observability;
  if (logDir === undefined || logDir === 'none') return observability;
  return { ...observability, log_dir: resolve(workingDirectory, logDir) };
}

/** One port cannot be both. */
export function requireOwnMetricsPort({ metrics_port: metricsPort }: ObservabilityConfig, port: number): void {
  if (metricsPort === undefined || metricsPort === 0 || metricsPort !== port) return;
  throw new ConfigError(
    `METRICS_PORT, observability.metrics_port: ${port} is the port of the process itself, which tells metrics too; name another, or none`,
  );
}
