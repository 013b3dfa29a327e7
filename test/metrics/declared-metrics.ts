import type { Registry } from 'prom-client';
import { createHttpMetrics } from '../../services/facade/http/http-metrics.ts';
import { declareInferenceMetrics } from '../../services/inference/engine-metrics/declare-metrics.ts';
import { QuotaMetrics } from '../../services/quota/quota-metrics.ts';
import { declareFleetMetrics } from '../../services/router/fleet-metrics.ts';
import { GenerationMetrics } from '../../services/router/generation-metrics.ts';
import { createMetrics } from '../../services/shared/observability/metrics.ts';
import { declareTaskMetrics } from '../../services/tasks/task-metrics.ts';

/** A metric as the code declares it. */
export interface DeclaredMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary';
  readonly labels: readonly string[];
  readonly help: string;
}

/** What Node.js tells of a process, by the beginning of its name; prom-client decides which there are. */
const PROCESS = /^(process|nodejs)_/;

/** What all services together declare; what Node.js tells is apart. */
export function declaredMetrics(): { readonly own: DeclaredMetric[]; readonly process: DeclaredMetric[] } {
  const metrics = createMetrics({ version: '0', roles: [], mostUsers: 1 });
  createHttpMetrics(metrics.registry);
  new GenerationMetrics(metrics);
  // What is looked at is looked at by a scrape alone.
  const unused = new Proxy({}, { get: () => () => undefined }) as never;
  declareFleetMetrics(metrics.registry, unused);
  new QuotaMetrics(metrics.registry);
  declareTaskMetrics(metrics.registry, unused);
  declareInferenceMetrics(metrics, unused);
  const all = declaredIn(metrics.registry);
  return { own: all.filter(({ name }) => !PROCESS.test(name)), process: all.filter(({ name }) => PROCESS.test(name)) };
}

function declaredIn(registry: Registry): DeclaredMetric[] {
  // The type of prom-client knows less than each metric has.
  const metrics = registry.getMetricsAsArray() as unknown as {
    readonly name: string;
    readonly help: string;
    readonly type: DeclaredMetric['type'];
    readonly labelNames?: readonly string[];
  }[];
  return metrics
    .map(({ name, help, type, labelNames = [] }) => ({
      ...{ name, help, type },
      labels: labelNames.filter((label) => label !== 'le'),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
