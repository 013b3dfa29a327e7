import type { RedisStore } from '../../shared/store/redis.ts';
import { runScript } from '../../shared/store/redis-script.ts';
import type { LimitStatus } from '../budget.ts';
import type { LeaseState } from '../lease.ts';
import type { Counted, Ended, QuotaStore } from './quota-store.ts';
import { EXPIRE, INSPECT, QUOTA_KEYS, RELEASE, RESERVE, SETTLE } from './redis-scripts.ts';

const HELD = `${QUOTA_KEYS}held`;

/** Leases that one script expires: a script blocks the server for everybody. */
const SWEEP_LEASES = 200;

/** Scripts of one sweep. */
const SWEEP_STEPS = 50;

/**
 * Quota in the shared store. `clock` gives milliseconds since the epoch; unset: the server's clock, so that processes
 * whose clocks differ agree.
 */
export function createRedisQuotaStore(store: RedisStore, clock?: () => number): QuotaStore {
  const time = (): number | '' => clock?.() ?? '';
  const leaseKey = (reservationId: string): string => `${QUOTA_KEYS}lease:${reservationId}`;

  return {
    async reserve({ reservationId, operationId, holder, model, limits, isCounted, holdMs }) {
      const ledger = JSON.stringify([holder.keyId, holder.userId, holder.organizationId, model]);
      const reply = await numbers(
        store,
        RESERVE,
        [leaseKey(reservationId), HELD],
        [...[time(), reservationId, operationId, holdMs, isCounted ? 1 : 0, ledger], ...limitArgs(limits)],
      );
      const [code, expiresAtMs = 0] = reply;
      if (code === -1) return { kind: 'taken' };
      const statuses = statusesOf(reply.slice(2));
      return code === 1 ? { kind: 'admitted', expiresAtMs, statuses } : { kind: 'refused', statuses };
    },
    async inspect(limits) {
      return statusesOf(await numbers(store, INSPECT, [HELD], [time(), ...limitArgs(limits)]));
    },
    async settle(reservationId, { promptTokens, completionTokens, engine }) {
      const args = [time(), reservationId, promptTokens, completionTokens, engine];
      return ended(await runScript(store, SETTLE, [leaseKey(reservationId)], args));
    },
    async release(reservationId) {
      return ended(await runScript(store, RELEASE, [leaseKey(reservationId)], [time(), reservationId]));
    },
    async sweep() {
      // What has ended goes by itself: its keys have an expiry.
      for (let step = 0; step < SWEEP_STEPS; step += 1) {
        const expired = await runScript(store, EXPIRE, [HELD], [time(), SWEEP_LEASES]);
        if (Number(expired) < SWEEP_LEASES) return;
      }
    },
  };
}

async function numbers(...call: Parameters<typeof runScript>): Promise<number[]> {
  return (await runScript(...call)) as number[];
}

function limitArgs(limits: readonly Counted[]): (string | number)[] {
  return limits.flatMap(({ counter, rule }) =>
    rule.kind === 'window' ? [counter, rule.stepMs, rule.maximum, 0] : [counter, 0, rule.refillPerMinute, rule.burst],
  );
}

function statusesOf(reply: readonly number[]): LimitStatus[] {
  const statuses: LimitStatus[] = [];
  for (let i = 0; i < reply.length; i += 3) {
    const [remaining = 0, resetAfterMs = 0, retryAfterMs = 0] = reply.slice(i, i + 3);
    statuses.push({ remaining, resetAfterMs, retryAfterMs });
  }
  return statuses;
}

function ended(reply: unknown): Ended {
  const [code, endedAtMs, state] = reply as [number, number, LeaseState];
  if (code === 1) return { kind: 'done', endedAtMs };
  return code === 0 ? { kind: 'ended', state } : { kind: 'unknown' };
}
