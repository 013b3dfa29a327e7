import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { BoundedLabel } from './bounded-label.ts';
import type { MetricFamilies } from './gathered-metrics.ts';

/** How finely the delay of the event loop is watched, in milliseconds. */
const LOOP_DELAY_PRECISION_MS = 20;

/** What a process counts. Its services add their own metrics; all of them are told together. */
export interface Metrics {
  /** Where services register what they count. */
  readonly registry: Registry;
  /** The values of the label `user`. */
  readonly users: BoundedLabel;
  /** Adds text in Prometheus' format that is told after our own: metrics that others count. It must not throw. */
  addText(source: () => string | Promise<string>): void;
  /** Our own, to be added to those of other processes. */
  families(): Promise<MetricFamilies>;
  /** What others count, in Prometheus' text format; empty, or ends with a line. */
  addedText(): Promise<string>;
  /** Everything, in Prometheus' text format; those who ask while it is made share it. */
  text(): Promise<string>;
}

/** What metrics are made with. */
export interface MetricsOptions {
  readonly version: string;
  readonly roles: Iterable<string>;
  /** How many users have series of their own; all others share one. */
  readonly mostUsers: number;
}

/** What a scrape is answered as. */
export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Makes the metrics of a process, with what Node.js tells of it: CPU, memory, delay of the event loop. */
export function createMetrics({ version, roles, mostUsers }: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_DELAY_PRECISION_MS });
  const info = new Gauge({
    name: 'mesh_info',
    help: 'Always 1: the version of the process, and the services that it runs.',
    labelNames: ['version', 'roles'],
    aggregator: 'first',
    registers: [registry],
  });
  info.set({ version, roles: [...roles].join(',') }, 1);
  const sources: (() => string | Promise<string>)[] = [];
  let asked: Promise<string> | undefined;
  async function addedText(): Promise<string> {
    return (await Promise.all(sources.map((source) => source()))).map(withEnd).join('');
  }
  async function tell(): Promise<string> {
    const [own, added] = await Promise.all([registry.metrics(), addedText()]);
    return withEnd(own) + added;
  }
  return {
    registry,
    users: new BoundedLabel(mostUsers),
    addText: (source) => sources.push(source),
    families: () => registry.getMetricsAsJSON(),
    addedText,
    text: () => {
      // Whoever asks a thousand times at once gets one answer: it costs a millisecond and more.
      asked ??= tell().finally(() => {
        asked = undefined;
      });
      return asked;
    },
  };
}

function withEnd(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
