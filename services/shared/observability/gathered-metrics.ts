import { AggregatorRegistry, type Registry } from 'prom-client';

/** All metrics of a process with their values, as they can be sent to another one. */
export type MetricFamilies = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** What processes count that do one work together. */
export interface GatheredMetrics {
  /** The latest of a process. */
  take(processId: number, families: MetricFamilies): void;
  /** The process is gone: what it counted still counts, for else sums would go back. */
  leave(processId: number): void;
  /** All together in Prometheus' text format: counts are added, gauges as each says of itself (`aggregator`). */
  text(): Promise<string>;
}

/** What only grows. */
const GROWING: ReadonlySet<string> = new Set(['counter', 'histogram', 'summary']);

/** Makes it, without any process. */
export function createGatheredMetrics(): GatheredMetrics {
  const latest = new Map<number, MetricFamilies>();
  /** Of all that are gone together. */
  let gone: Promise<MetricFamilies> = Promise.resolve([]);

  async function add(before: Promise<MetricFamilies>, last: MetricFamilies): Promise<MetricFamilies> {
    return await AggregatorRegistry.aggregate([await before, last]).getMetricsAsJSON();
  }

  return {
    take: (processId, families) => void latest.set(processId, families),
    leave(processId) {
      const last = latest.get(processId)?.filter(({ type }) => GROWING.has(String(type)));
      latest.delete(processId);
      if (last) gone = add(gone, last);
    },
    async text() {
      // Both of the same moment: who leaves while this waits is in one of them.
      const alive = [...latest.values()];
      return await AggregatorRegistry.aggregate([...alive, await gone]).metrics();
    },
  };
}
