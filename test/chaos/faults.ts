import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from './cluster.ts';

/** What was done to a cluster. */
export interface FaultCounts {
  kills: number;
  /** Stops of a gateway that its leases outlive. */
  shortStops: number;
  /** Stops that are longer than a lease. */
  longStops: number;
  /** Stops of the Redis server. */
  storeStops: number;
  /** Times in which all replies to a gateway were dropped. */
  drops: number;
}

/** Means of the pauses between two faults of a kind, in milliseconds. */
const PAUSES_MS = { kill: 9_000, stop: 5_000, drop: 2_000, store: 25_000 };

/** Kills and stops gateways, drops replies and stops Redis, all at once but one thing at a time per gateway, until it is over. */
export async function disturb(
  { gateways, droppers, redis }: Cluster,
  leaseMs: number,
  random: () => number,
  over: Promise<unknown>,
): Promise<FaultCounts> {
  const counts: FaultCounts = { kills: 0, shortStops: 0, longStops: 0, storeStops: 0, drops: 0 };
  const busy = new Set<number>();
  let isOver = false;
  const ended = over.finally(() => {
    isOver = true;
  });

  /** Does something to a gateway that nothing is done to, again and again. */
  async function again(meanMs: number, fault: (index: number) => Promise<void>): Promise<void> {
    for (;;) {
      await Promise.race([ended, delay(meanMs * (0.5 + random()))]);
      if (isOver) return;
      const free = gateways.map((_, index) => index).filter((index) => !busy.has(index));
      const index = free[Math.floor(random() * free.length)];
      if (index === undefined) continue;
      busy.add(index);
      await fault(index);
      busy.delete(index);
    }
  }

  const kill = async (index: number): Promise<void> => {
    counts.kills += 1;
    await gateways[index]?.kill(random() * 1_000);
  };
  const stop = async (index: number): Promise<void> => {
    const isLong = random() < 0.4;
    counts[isLong ? 'longStops' : 'shortStops'] += 1;
    await gateways[index]?.pause(isLong ? leaseMs * (1.1 + 0.4 * random()) : leaseMs * 0.6 * random());
  };
  const drop = async (index: number): Promise<void> => {
    counts.drops += 1;
    await droppers[index]?.dropFor(50 + 700 * random());
  };
  const stopStore = async (): Promise<void> => {
    counts.storeStops += 1;
    redis.child.kill('SIGSTOP');
    await delay(200 + 2_500 * random());
    redis.child.kill('SIGCONT');
  };
  await Promise.all([
    again(PAUSES_MS.kill, kill),
    again(PAUSES_MS.stop, stop),
    again(PAUSES_MS.drop, drop),
    again(PAUSES_MS.store, stopStore),
  ]);
  return counts;
}
