import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type DeclaredMetric, declaredMetrics } from './declared-metrics.ts';
import { metricRow, metricRows } from './documented-metrics.ts';
import { alertQueries, dashboardQueries, filledIn, readingsOf } from './queries.ts';

const { own, process: told } = declaredMetrics();
const byName = new Map([...own, ...told].map((metric) => [metric.name, metric]));
/** Prometheus' own. */
const ADDED_LABELS = ['job', 'instance'];
const UP: DeclaredMetric = { name: 'up', type: 'gauge', labels: [], help: '' };

/** The metric of a name in a query: of histograms with a suffix. */
function metricOf(name: string): DeclaredMetric | undefined {
  if (name === 'up') return UP;
  const [, base = '', suffix] = /^(.*)_(bucket|sum|count)$/.exec(name) ?? [];
  const histogram = byName.get(base);
  if (histogram?.type === 'histogram') {
    return suffix === 'bucket' ? { ...histogram, labels: [...histogram.labels, 'le'] } : histogram;
  }
  // A histogram has no samples of its own name.
  const metric = byName.get(name);
  return metric?.type === 'histogram' ? undefined : metric;
}

describe.each([
  ['the dashboard', dashboardQueries()],
  ['the alerts', alertQueries()],
])('queries of %s', (_name, queries) => {
  test('there are some', () => expect(queries.length).toBeGreaterThan(10));

  test.each(queries)('$where reads metrics and labels that there are', ({ expr }) => {
    const { readings, grouping } = readingsOf(filledIn(expr));
    expect(readings.length).toBeGreaterThan(0);
    const known = new Set(ADDED_LABELS);
    for (const { metric, labels } of readings) {
      const declared = metricOf(metric) ?? expect.fail(`there is no metric ${metric}`);
      const own = [...declared.labels, ...ADDED_LABELS];
      expect(own).toEqual(expect.arrayContaining([...labels]));
      for (const label of own) known.add(label);
    }
    expect([...known]).toEqual(expect.arrayContaining(grouping));
  });
});

test('what is read of a query: metrics with their labels, and what it groups by', () => {
  const expr =
    'histogram_quantile(0.9, sum by (le, model) (rate(a_bucket{job="x",model=~"b|c"}[5m]))) / on (node) d > 1';
  expect(readingsOf(expr)).toEqual({
    readings: [
      { metric: 'a_bucket', labels: ['job', 'model'] },
      { metric: 'd', labels: [] },
    ],
    grouping: ['le', 'model', 'node'],
  });
});

test('the documentation has exactly the metrics that the code declares, with type, labels and meaning', () => {
  const documented = metricRows(readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8'));
  expect(documented).toEqual(own.map(metricRow));
});

test('no label is somebody or something that callers make, but the user of one metric, which is bounded', () => {
  const suspicious = own.filter(({ labels }) =>
    labels.some((label) => /user|key|task|prompt|request_id|client|ip$|organization|path|url/.test(label)),
  );
  expect(suspicious.map(({ name }) => name)).toEqual(['api_tokens_total']);
});

test('names are in base units', () => {
  for (const { name, type } of own) {
    expect(name).not.toMatch(/_(ms|milliseconds|kb|mb|percent)(_|$)/);
    if (type === 'counter') expect(name).toMatch(/_total$/);
  }
});
