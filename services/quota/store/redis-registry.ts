import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { runScript } from '../../shared/store/redis-script.ts';
import type { HeldLease, QuotaStore } from './quota-store.ts';
import { DAYS_KEY, ROWS_PREFIX, SUBJECTS_KEY, TAKEN_KEY } from './redis-keys.ts';
import { entryOf, holderOf, rowRange } from './redis-ledger-row.ts';
import { moveOldLedger } from './redis-old-ledger.ts';
import { DROP_DAYS, HELD_LEASES, SET_SUBJECT, SUBJECTS, USAGE } from './redis-registry-scripts.ts';

/** Ledger rows that one script reads. */
const PAGE_ROWS = 500;

/** Days that one sweep drops. */
const SWEEP_DAYS = 50;

/** What is read and set in bulk: leases for operators, the ledger, the limits of subjects. `sweep` drops old days, and at first moves what version 1 kept. */
export type RedisRegistry = Pick<QuotaStore, 'heldLeases' | 'usage' | 'subjectLimits' | 'setSubjectLimits' | 'sweep'>;

/** See createRedisQuotaStore. */
export function createRedisRegistry(
  store: RedisStore,
  clock: (() => number) | undefined,
  usageRetentionDays: number,
): RedisRegistry {
  let isOldMoved = false;
  return {
    async heldLeases(limit, after) {
      const reply = (await runScript(store, HELD_LEASES, [TAKEN_KEY], [limit + 1, after ?? ''])) as string[];
      const leases: HeldLease[] = [];
      for (let i = 0; i < Math.min(reply.length, limit * 7); i += 7) leases.push(heldLease(reply.slice(i, i + 7)));
      return { leases, next: reply.length > limit * 7 ? reply[(limit - 1) * 7] : undefined };
    },
    async *usage(firstDay, lastDay, organizationId) {
      const { from, to } = rowRange(organizationId);
      for (const day of await daysOf(store, firstDay, lastDay)) {
        for (let next: string | undefined = from; next !== undefined; ) {
          const args = [day, next, to, PAGE_ROWS];
          const reply = (await runScript(store, USAGE, [`${ROWS_PREFIX}${day}`], args)) as string[];
          for (let i = 0; i < reply.length; i += 2) yield entryOf(day, reply[i] ?? '', reply[i + 1] ?? '');
          next = reply.length < PAGE_ROWS * 2 ? undefined : `(${reply.at(-2)}`;
        }
      }
    },
    async subjectLimits() {
      const [version, ...pairs] = (await runScript(store, SUBJECTS, [SUBJECTS_KEY], [])) as string[];
      const bySubject = new Map<string, string>();
      for (let i = 0; i < pairs.length; i += 2) bySubject.set(pairs[i] ?? '', pairs[i + 1] ?? '');
      return { version: Number(version), bySubject };
    },
    async setSubjectLimits(subject, limits) {
      return Number(await runScript(store, SET_SUBJECT, [SUBJECTS_KEY], [subject, limits ?? '']));
    },
    async sweep() {
      if (!isOldMoved) await moveOldLedger(store);
      isOldMoved = true;
      await runScript(store, DROP_DAYS, [DAYS_KEY], [clock?.() ?? '', usageRetentionDays, SWEEP_DAYS]);
    },
  };
}

async function daysOf({ redis }: RedisStore, first: number, last: number): Promise<number[]> {
  try {
    return (await redis.zrangebyscore(DAYS_KEY, first, last)).map(Number);
  } catch (error) {
    throw redisError(error);
  }
}

function heldLease(fields: readonly (string | number)[]): HeldLease {
  const [, id, beginning, heldTokens, completionTokens, takenAtMs, expiresAtMs] = fields;
  const { model, ...holder } = holderOf(String(beginning));
  return {
    ...{ reservationId: String(id), holder, model },
    ...{ heldTokens: Number(heldTokens), completionTokens: Number(completionTokens) },
    ...{ takenAtMs: Number(takenAtMs), expiresAtMs: Number(expiresAtMs) },
  };
}
