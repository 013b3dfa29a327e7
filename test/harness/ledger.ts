import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Redis } from 'ioredis';
import type { TestMesh } from './mesh.ts';

/** What the store says was charged to a key, and what it still holds. */
export interface Ledger {
  readonly requests: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Leases that nobody has ended, over all keys. */
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
    const sums = database
      .prepare(
        'SELECT sum(requests) r, sum(prompt_tokens) p, sum(completion_tokens) c FROM quota_usage WHERE key_id = ?',
      )
      .get(keyId);
    const held = database.prepare("SELECT count(*) n FROM quota_leases WHERE state = 'held'").get();
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
    const sums = { requests: 0, prompt_tokens: 0, completion_tokens: 0 };
    for (const day of await redis.keys('mesh:quota:{quota}:usage:*')) {
      for (const [field, amount] of Object.entries(await redis.hgetall(day))) {
        const [, column = '', row = '[]'] = /^(\w+):(.*)$/.exec(field) ?? [];
        if (JSON.parse(row)[0] === keyId && column in sums) sums[column as keyof typeof sums] += Number(amount);
      }
    }
    const held = await redis.zcard('mesh:quota:{quota}:held');
    return {
      requests: sums.requests,
      promptTokens: sums.prompt_tokens,
      completionTokens: sums.completion_tokens,
      held,
    };
  } finally {
    redis.disconnect();
  }
}
