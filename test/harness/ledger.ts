import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Redis } from 'ioredis';
import type { TestMesh } from './mesh.ts';

/** What the store says was charged to a key, and what it still holds. */
export interface Ledger {
  readonly requests: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Leases that nobody has ended, and news of leases that the sums do not have yet, over all keys. */
  readonly held: number;
}

/** Where the ledger of a mesh lies. */
export type LedgerStore = Pick<TestMesh, 'redisUrl' | 'dataDir'>;

/** Reads the usage ledger past all services, so that a test does not ask the accused. */
export function readLedger(mesh: LedgerStore, keyId: string): Promise<Ledger> {
  return mesh.redisUrl === undefined ? fromSqlite(mesh, keyId) : fromRedis(mesh.redisUrl, keyId);
}

async function fromSqlite(mesh: LedgerStore, keyId: string): Promise<Ledger> {
  const database = new DatabaseSync(join(mesh.dataDir('quota'), 'mesh.db'), { readOnly: true });
  try {
    // One look: else the tables may be written between the sums and what is held.
    database.exec('BEGIN');
    // What the queue has is not in the ledger yet, or once too often.
    const sums = database
      .prepare(
        `SELECT sum(requests) r, sum(prompt_tokens) p, sum(completion_tokens) c FROM (
           SELECT key_id, requests, prompt_tokens, completion_tokens FROM quota_ledger
           UNION ALL SELECT value ->> 2, value ->> 6, value ->> 7, value ->> 8
           FROM quota_ledger_queue, json_each(quota_ledger_queue.entries)
         ) WHERE key_id = ?`,
      )
      .get(keyId);
    // What the journal has is not in the tables yet: a sweep writes it within a second.
    const held = database
      .prepare(
        "SELECT (SELECT count(*) FROM quota_leases WHERE state = 'held') + (SELECT count(*) FROM quota_journal) n",
      )
      .get();
    return {
      requests: Number(sums?.r ?? 0),
      promptTokens: Number(sums?.p ?? 0),
      completionTokens: Number(sums?.c ?? 0),
      held: Number(held?.n ?? 0),
    };
  } finally {
    database.close();
  }
}

async function fromRedis(url: string, keyId: string): Promise<Ledger> {
  const redis = new Redis(url);
  try {
    // First: what is settled while the sums are read was held then.
    const held = await redis.zcard('mesh:quota:2:{quota}:held');
    const sums = [0, 0, 0];
    for (const day of await redis.keys('mesh:quota:2:{quota}:usage:*')) {
      for (const [row, figures] of Object.entries(await redis.hgetall(day))) {
        const [, , rowKeyId] = JSON.parse(row);
        if (rowKeyId !== keyId) continue;
        for (const [i, figure] of figures.split(' ').entries()) sums[i] = (sums[i] ?? 0) + Number(figure);
      }
    }
    const [requests = 0, promptTokens = 0, completionTokens = 0] = sums;
    return { requests, promptTokens, completionTokens, held };
  } finally {
    redis.disconnect();
  }
}
