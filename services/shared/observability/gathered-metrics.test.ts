import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createGatheredMetrics, type MetricFamilies } from './gathered-metrics.ts';

/** A process that has answered so many requests. */
async function counted(requests: number, state = 0): Promise<MetricFamilies> {
  const registers = [new Registry()];
  const help = 'h';
  new Counter({ name: 'requests_total', help, labelNames: ['status'], registers }).inc({ status: '200' }, requests);
  const seconds = new Histogram({ name: 'seconds', help, buckets: [1], registers });
  for (let request = 0; request < requests; request += 1) seconds.observe(0.5);
  new Gauge({ name: 'running', help, registers }).set(requests);
  new Gauge({ name: 'state', help, aggregator: 'max', registers }).set(state);
  return await (registers[0] as Registry).getMetricsAsJSON();
}

const sampleOf = (text: string, series: string): string | undefined =>
  text
    .split('\n')
    .find((line) => line.startsWith(`${series} `))
    ?.split(' ')[1];

test('counts of all are added, and gauges as each says', async () => {
  const gathered = createGatheredMetrics();
  gathered.take(1, await counted(3, 2));
  gathered.take(2, await counted(4, 1));
  const text = await gathered.text();
  expect(sampleOf(text, 'requests_total{status="200"}')).toBe('7');
  expect(sampleOf(text, 'seconds_bucket{le="1"}')).toBe('7');
  expect(sampleOf(text, 'seconds_sum')).toBe('3.5');
  expect(sampleOf(text, 'running')).toBe('7');
  expect(sampleOf(text, 'state')).toBe('2');
  expect(text).toContain('# TYPE seconds histogram');
});

test('the latest of a process counts; what those who are gone counted stays, what they were doing does not', async () => {
  const gathered = createGatheredMetrics();
  for (const requests of [1, 2]) gathered.take(1, await counted(requests));
  for (const id of [2, 3]) {
    gathered.take(id, await counted(10));
    gathered.leave(id);
  }
  gathered.leave(4);
  const text = await gathered.text();
  expect(sampleOf(text, 'requests_total{status="200"}')).toBe('22');
  expect(sampleOf(text, 'seconds_count')).toBe('22');
  expect(sampleOf(text, 'running')).toBe('2');
});

test('nobody has counted anything', async () => {
  expect((await createGatheredMetrics().text()).trim()).toBe('');
});
