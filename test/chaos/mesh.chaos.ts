import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../harness/processes.ts';
import { check } from './checker.ts';
import { startCluster } from './cluster.ts';
import { disturb } from './faults.ts';
import type { History } from './history.ts';
import { runLoad } from './load.ts';
import { randomFrom } from './plan.ts';
import { reportOf } from './report.ts';
import { KEPT_IN, SIZES } from './sizes.ts';

const { gateways: gatewayCount, keys: keyCount, requests, atOnce, leaseSeconds, seed } = SIZES;

/** How long what is held may take to end after the load, beyond the life of a lease, in milliseconds. */
const REST_MS = 60_000;

test('limits are exact while gateways are killed and stopped and replies are dropped', async () => {
  console.log(`seed ${seed}: ${requests} requests, ${gatewayCount} gateways, ${keyCount} keys`);
  const cluster = await startCluster(gatewayCount, keyCount, leaseSeconds);
  try {
    const { gateways, keys, recorder, droppers } = cluster;
    const startedMs = performance.now();
    const urls = gateways.map(({ url }) => url);
    const load = runLoad({ urls, keys, requests, atOnce, random: randomFrom(seed) });
    const faults = await disturb(cluster, leaseSeconds * 1_000, randomFrom(seed + 1), load);
    const clients = await load;
    const loadMs = performance.now() - startedMs;
    const isRest = async (): Promise<boolean> => (await recorder.held()) === 0;
    await eventually('nothing is held', isRest, leaseSeconds * 1_000 + REST_MS).catch(() => {});
    // A gateway that is asked to end settles first what it owes.
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    const store = await recorder.stop();
    const outages = gateways.flatMap((gateway) => gateway.outages);
    const history = { ...store, clients, engines: await cluster.engineRecords(), outages };
    const verdict = check(history);
    const droppedReplies = droppers.reduce((sum, dropper) => sum + dropper.dropped(), 0);
    console.log(reportOf(history, verdict, { ...faults, droppedReplies, loadMs }));
    if (KEPT_IN) keep(KEPT_IN, history, gateways.flatMap(({ outputs }) => outputs).join('\n---\n'));
    expect(verdict.violations).toEqual([]);
    expect(clients.filter(({ outcome }) => outcome === 'whole').length).toBeGreaterThan(0);
  } finally {
    await cluster.stop();
  }
});

/** Writes what was recorded, for whoever looks for the cause of a violation. */
function keep(directory: string, { steps, ...rest }: History, outputs: string): void {
  mkdirSync(directory, { recursive: true });
  const asText = (_: string, value: unknown): unknown => (value instanceof Map ? Object.fromEntries(value) : value);
  writeFileSync(join(directory, 'steps.jsonl'), steps.map((step) => JSON.stringify(step, asText)).join('\n'));
  writeFileSync(join(directory, 'rest.json'), JSON.stringify(rest, asText));
  writeFileSync(join(directory, 'outputs.txt'), outputs);
}
