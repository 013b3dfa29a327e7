import { expect, test } from 'vitest';
import { eventually } from '../harness/processes.ts';
import { checkStore } from './checker.ts';
import { startCluster } from './cluster.ts';
import { disturb } from './faults.ts';
import { TASK_QUOTA } from './limits.ts';
import { randomFrom } from './plan.ts';
import { SIZES } from './sizes.ts';
import { checkCharges } from './task-charges.ts';
import { checkTasks } from './task-checker.ts';
import type { StoredTask } from './task-history.ts';
import { runTaskLoad } from './task-load.ts';
import { storedTasks } from './task-store-state.ts';

const { gateways: gatewayCount, keys: keyCount, tasks, atOnce, leaseSeconds, seed } = SIZES;

/** How long what is held may take to end after the load, beyond the life of a lease, in milliseconds. */
const REST_MS = 60_000;

/** Shorter than many stops of a gateway: those find their tasks run by another. */
const TASKS = { lease_seconds: 2, max_attempts: 50, concurrency: 16 };

test('what was submitted ends exactly once while gateways are killed and stopped and replies are dropped', async () => {
  console.log(`seed ${seed}: ${tasks} tasks, ${gatewayCount} gateways, ${keyCount} keys`);
  const cluster = await startCluster(gatewayCount, keyCount, leaseSeconds, { quota: TASK_QUOTA, tasks: TASKS });
  try {
    const { gateways, keys, recorder, droppers } = cluster;
    const urls = gateways.map(({ url }) => url);
    const load = runTaskLoad({ urls, keys, tasks, atOnce, random: randomFrom(seed) });
    const faults = await disturb(cluster, leaseSeconds * 1_000, randomFrom(seed + 1), load);
    const told = await load;
    const isRest = async (): Promise<boolean> => (await recorder.held()) === 0;
    await eventually('nothing is held', isRest, leaseSeconds * 1_000 + REST_MS).catch(() => {});
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    const [quota, stored, engines] = await Promise.all([
      recorder.stop(),
      storedTasks(cluster.redisUrl),
      cluster.engineRecords(),
    ]);
    const history = { ...told, stored, engines, steps: quota.steps };
    const { violations: ofStore, leases } = checkStore({ ...quota, clients: [], engines, outages: [] });
    const violations = [...ofStore, ...checkTasks(history), ...checkCharges(history)];
    const dropped = droppers.reduce((sum, dropper) => sum + dropper.dropped(), 0);
    const refused = told.submissions.filter(({ taskIds }) => taskIds.length === 0).length;
    console.log(
      `tasks: ${stored.length} accepted, ${refused} refused; ${of(stored, (task) => task.state)}\n` +
        `attempts: ${of(stored, ({ attempt }) => `${Math.min(attempt, 5)}`)} (5: or more)\n` +
        `faults: ${JSON.stringify(faults)}, ${dropped} replies dropped\n` +
        `leases: ${JSON.stringify(leases)}; ${quota.steps.length} steps of the store\n` +
        `violations: ${violations.length}`,
    );
    expect(violations).toEqual([]);
    expect(stored.filter(({ state }) => state === 'completed').length).toBeGreaterThan(tasks / 4);
  } finally {
    await cluster.stop();
  }
});

function of(stored: readonly StoredTask[], what: (task: StoredTask) => string): string {
  return Object.entries(Object.groupBy(stored, what))
    .map(([name, all = []]) => `${all.length} × ${name}`)
    .join(', ');
}
