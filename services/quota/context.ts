import type { Logger } from 'pino';
import type { Metrics } from '../shared/observability/metrics.ts';
import type { Store } from '../shared/store/store.ts';
import { type QuotaConfig, tierNames } from './config.ts';
import { CurrentLimits } from './current-limits.ts';
import { QuotaMetrics } from './quota-metrics.ts';
import type { QuotaStore } from './store/quota-store.ts';
import { createRedisQuotaStore } from './store/redis-quota-store.ts';
import { createSqliteQuotaStore } from './store/sqlite-quota-store.ts';
import { sweepRegularly } from './sweeper.ts';

/** What quota needs from outside. */
export interface QuotaResources {
  /** Stays the caller's to close. */
  readonly store: Store;
  /** Milliseconds since the epoch. With Redis the server's clock decides instead. */
  readonly now: () => number;
  readonly log: Logger;
  /** Where admissions are counted. Unset: nowhere. */
  readonly metrics?: Metrics | undefined;
}

/** The quota of this process. */
export interface QuotaContext {
  readonly limits: CurrentLimits;
  readonly store: QuotaStore;
  /** The names of all tiers. */
  readonly tiers: ReadonlySet<string>;
  /** How many completion tokens a reservation covers at most. */
  readonly reserveWindowTokens: number;
  /** Unset: nothing is counted. */
  readonly metrics: QuotaMetrics | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Stops sweeping and waits for a sweep that is under way. */
  close(): Promise<void>;
}

/**
 * Builds quota.
 *
 * @throws ConfigError when the store was written by a newer version.
 */
export function createQuotaContext(config: QuotaConfig, resources: QuotaResources): QuotaContext {
  const { now, log } = resources;
  const usageDays = config.usage_retention_days;
  const store =
    resources.store.kind === 'sqlite'
      ? createSqliteQuotaStore(resources.store, now, usageDays)
      : createRedisQuotaStore(resources.store, undefined, usageDays);
  const stopSweeping = sweepRegularly(store, log);
  return {
    limits: new CurrentLimits(config, store),
    store,
    tiers: tierNames(config),
    reserveWindowTokens: config.reserve_window_tokens,
    metrics: resources.metrics && new QuotaMetrics(resources.metrics.registry),
    now,
    close: stopSweeping,
  };
}
