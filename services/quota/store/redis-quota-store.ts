import type { RedisStore } from '../../shared/store/redis.ts';
import { runScript } from '../../shared/store/redis-script.ts';
import type { LimitStatus } from '../budget.ts';
import type { LeaseState } from '../lease.ts';
import { encodeCounted } from './counted-codec.ts';
import {
  DEFAULT_USAGE_RETENTION_DAYS,
  type Demand,
  type Ended,
  type Extended,
  type QuotaStore,
  type Reserved,
} from './quota-store.ts';
import { HELD_KEY, LEASE_PREFIX } from './redis-keys.ts';
import { rowBeginning } from './redis-ledger-row.ts';
import { createRedisRegistry } from './redis-registry.ts';
import { EXPIRE, EXTEND, INSPECT, RELEASE, REPLY, RESERVE, SETTLE } from './redis-scripts.ts';

/** Leases that one script expires: a script blocks the server for everybody. */
const SWEEP_LEASES = 50;

/** Scripts of one sweep. */
const SWEEP_STEPS = 200;

/** A script's answer: a code, then numbers; of an ended lease its state. */
type Reply = readonly [code: number, ...numbers: number[]];

const STATES: Readonly<Record<string, LeaseState>> = { s: 'settled', r: 'released', e: 'expired' };

/**
 * Quota in the shared store: each call one script in one round trip. `clock` gives milliseconds since the epoch; unset: the
 * server's clock, so that processes whose clocks differ agree.
 */
export function createRedisQuotaStore(
  store: RedisStore,
  clock?: () => number,
  usageRetentionDays: number = DEFAULT_USAGE_RETENTION_DAYS,
): QuotaStore {
  const time = (): number | '' => clock?.() ?? '';
  const registry = createRedisRegistry(store, clock, usageRetentionDays);
  const { sweep, ...readers } = registry;

  return {
    ...readers,
    async reserve(reservation) {
      const { reservationId, operationId, limits, limitsVersion, holdMs, holder, model } = reservation;
      const reply = (await runScript(
        store,
        RESERVE,
        [LEASE_PREFIX + reservationId],
        [
          ...[time(), ...demandArgs(reservation), encodeCounted(limits), reservationId, operationId],
          ...[limitsVersion, holdMs, rowBeginning(holder, model)],
        ],
      )) as Reply;
      return reserved(reply);
    },
    async extend(reservationId, { promptTokens, completionTokens, wantedTokens }, holdMs) {
      const args = [time(), reservationId, holdMs, promptTokens ?? '', completionTokens, wantedTokens];
      return extended((await runScript(store, EXTEND, [LEASE_PREFIX + reservationId], args)) as Reply);
    },
    async inspect(limits, demand) {
      const args = [time(), ...demandArgs(demand), encodeCounted(limits)];
      return statusesFrom((await runScript(store, INSPECT, [HELD_KEY], args)) as number[], 0);
    },
    async settle(reservationId, { promptTokens, completionTokens, engine }) {
      const args = [time(), reservationId, promptTokens, completionTokens, JSON.stringify(engine)];
      return ended((await runScript(store, SETTLE, [LEASE_PREFIX + reservationId], args)) as Reply);
    },
    async release(reservationId) {
      const args = [time(), reservationId];
      return ended((await runScript(store, RELEASE, [LEASE_PREFIX + reservationId], args)) as Reply);
    },
    async sweep(spareMs = 0) {
      // Ended leases and idle counters go by themselves: their keys have an expiry.
      for (let step = 0; step < SWEEP_STEPS; step += 1) {
        const expired = await runScript(
          store,
          EXPIRE,
          [HELD_KEY],
          [time(), SWEEP_LEASES, Number.isFinite(spareMs) ? Math.round(spareMs) : Number.MAX_SAFE_INTEGER],
        );
        if (Number(expired) < SWEEP_LEASES) break;
      }
      await sweep();
    },
  };
}

function demandArgs({ isCounted, promptBound, maxCompletionTokens, coveredTokens }: Demand): number[] {
  return [isCounted ? 1 : 0, promptBound, maxCompletionTokens, coveredTokens];
}

function reserved(reply: Reply): Reserved {
  const [code, expiresAtMs = 0, coveredTokens = 0] = reply;
  switch (code) {
    case REPLY.done:
      return { kind: 'admitted', expiresAtMs, coveredTokens, statuses: statusesFrom(reply, 3) };
    case REPLY.refused:
      return { kind: 'refused', statuses: statusesFrom(reply, 3) };
    case REPLY.ended:
      return endedAs(reply);
    default:
      return { kind: code === REPLY.stale ? 'stale' : 'taken' };
  }
}

function extended(reply: Reply): Extended {
  const [code, expiresAtMs = 0, coveredTokens = 0] = reply;
  if (code === REPLY.done) return { kind: 'held', expiresAtMs, coveredTokens };
  return code === REPLY.ended ? endedAs(reply) : { kind: 'unknown' };
}

function ended(reply: Reply): Ended {
  const [code, endedAtMs = 0] = reply;
  if (code === REPLY.done) return { kind: 'done', endedAtMs };
  return code === REPLY.ended ? endedAs(reply) : { kind: 'unknown' };
}

function endedAs(reply: Reply): Extract<Ended, { kind: 'ended' }> {
  return { kind: 'ended', state: STATES[String(reply[1])] ?? 'settled' };
}

function statusesFrom(reply: readonly number[], first: number): LimitStatus[] {
  const statuses: LimitStatus[] = [];
  for (let i = first; i < reply.length; i += 4) {
    const [remaining = 0, held = 0, resetAfterMs = 0, retryAfterMs = 0] = reply.slice(i, i + 4);
    statuses.push({ remaining, held, resetAfterMs, retryAfterMs });
  }
  return statuses;
}
