import cluster from 'node:cluster';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createMetrics } from '../shared/observability/metrics.ts';
import { gatherFromWorkers } from './worker-metrics.ts';

const directory = mkdtempSync(join(tmpdir(), 'mesh-worker-metrics-'));

/** Says what it has counted when it is asked for the first time, and then nothing more. */
const WORKER = `
const values = [{ value: 5, labels: {} }];
const families = [{ name: 'requests_total', help: 'h', type: 'counter', aggregator: 'sum', values }];
process.once('message', () => process.send({ type: 'metrics', families }));
process.on('message', () => {});
process.send({ type: 'hello' });`;

beforeAll(() => {
  const exec = join(directory, 'worker.mjs');
  writeFileSync(exec, WORKER);
  cluster.setupPrimary({ exec, args: [], serialization: 'advanced' });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('a worker that hangs holds up nobody for long: what it said last counts, and once when it is gone', async () => {
  const text = gatherFromWorkers(createMetrics({ version: '0', roles: ['quota'], mostUsers: 1 }));
  const worker = cluster.fork();
  await once(worker, 'message');
  expect(await text()).toMatch(/^requests_total 5$/m);
  const [first, second] = await Promise.all([text(), text()]);
  expect(first).toMatch(/^requests_total 5$/m);
  expect(second).toBe(first);
  const exited = once(worker, 'exit');
  const asked = text();
  worker.process.kill('SIGKILL');
  await exited;
  expect(await asked).toMatch(/^requests_total 5$/m);
  expect(await text()).toMatch(/^requests_total 5$/m);
}, 60_000);
