import type { RedisStore } from '../../shared/store/redis.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import type { FoundKey, KeyPage, KeyQuery, KeyRecord, KeyStore, PreviousSecret } from './key-store.ts';
import { formatCursor, parseCursor } from './page-cursor.ts';
import { AUTH_KEYS, DISABLED_USERS } from './redis-names.ts';

/** Members "<creation time, 15 digits>-<key id>", all with score 0: their order is that of creation. */
const ALL = `${AUTH_KEYS}index`;
const FIRST = `${AUTH_KEYS}first`;

/** What is kept of a key: the record as it was added, and what has changed since. */
const FIELDS = `'record', 'revoked', 'used', 'hash', 'previous'`;

/**
 * KEYS: the record, the index, the index of its organisation, the first key. ARGV: the record, its member of the
 * indexes, its id, 1 when it must be the first. Returns 1, also when the same was added before, else 0.
 */
const ADD = redisScript(`
if ARGV[4] == '1' then
  redis.call('SET', KEYS[4], ARGV[3], 'NX')
  if redis.call('GET', KEYS[4]) ~= ARGV[3] then return 0 end
end
if redis.call('HSETNX', KEYS[1], 'record', ARGV[1]) == 0 then
  return redis.call('HGET', KEYS[1], 'record') == ARGV[1] and 1 or 0
end
redis.call('ZADD', KEYS[2], 0, ARGV[2])
redis.call('ZADD', KEYS[3], 0, ARGV[2])
return 1`);

/** KEYS: the record. ARGV: a field, its value, 1 to keep an older value. Sets it if there is such a key. */
const MARK = redisScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call(ARGV[3] == '1' and 'HSETNX' or 'HSET', KEYS[1], ARGV[1], ARGV[2])
end
return redis.call('HMGET', KEYS[1], ${FIELDS})`);

/** KEYS: the record. ARGV: the hash to replace, the new one, the secrets before it. Returns 1 when it is the new one. */
const ROTATE = redisScript(`
local known = redis.call('HMGET', KEYS[1], 'record', 'hash')
local hash = known[2] or (known[1] and cjson.decode(known[1]).hash)
if hash == ARGV[1] then
  redis.call('HSET', KEYS[1], 'hash', ARGV[2], 'previous', ARGV[3])
  return 1
end
return hash == ARGV[2] and 1 or 0`);

/** KEYS: the record, the disabled users. Returns its fields, and last when its user was disabled. */
const FIND = redisScript(`
local fields = redis.call('HMGET', KEYS[1], ${FIELDS})
fields[6] = fields[1] and redis.call('HGET', KEYS[2], cjson.decode(fields[1]).userId)
return fields`);

/** KEYS: an index. ARGV: the member before the first, how many. Returns members and their records. */
const LIST = redisScript(`
local reply = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[1], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[2])) do
  local id = string.sub(member, 17)
  reply[#reply + 1] = redis.call('HMGET', '${AUTH_KEYS}key:' .. id, ${FIELDS})
end
return reply`);

type Fields = readonly (string | null)[];

/** Keys in the shared store. */
export function createRedisKeyStore(store: RedisStore): KeyStore {
  async function add(record: KeyRecord, isFirst: boolean): Promise<boolean> {
    const { previous: _, ...added } = record;
    const member = memberOf(record.createdAtMs, record.keyId);
    const keys = [recordKey(record.keyId), ALL, indexOf(record.organizationId), FIRST];
    return (await runScript(store, ADD, keys, [JSON.stringify(added), member, record.keyId, isFirst ? 1 : 0])) === 1;
  }

  async function list({ organizationId, limit, after }: KeyQuery): Promise<KeyPage> {
    const cursor = after === undefined ? undefined : parseCursor(after);
    const start = cursor ? `(${memberOf(cursor.createdAtMs, cursor.keyId)}` : '+';
    const index = organizationId === undefined ? ALL : indexOf(organizationId);
    const rows = (await runScript(store, LIST, [index], [start, limit + 1])) as Fields[];
    const records = rows.slice(0, limit).flatMap((fields) => recordOf(fields) ?? []);
    const last = records.at(-1);
    return { records, next: rows.length > limit && last ? formatCursor(last) : undefined };
  }

  return {
    async find(keyId): Promise<FoundKey | undefined> {
      const fields = (await runScript(store, FIND, [recordKey(keyId), DISABLED_USERS], [])) as Fields;
      const record = recordOf(fields);
      return record && { ...record, userDisabledAtMs: fields[5] ? Number(fields[5]) : undefined };
    },
    add: (record) => add(record, false),
    addFirst: (record) => add(record, true),
    list,
    revoke: async (keyId, atMs) =>
      recordOf((await runScript(store, MARK, [recordKey(keyId)], ['revoked', atMs, 1])) as Fields),
    rotate: async (keyId, from, { hash, previous }) =>
      (await runScript(store, ROTATE, [recordKey(keyId)], [from, hash, JSON.stringify(previous)])) === 1,
    async touch(keyId, atMs) {
      await runScript(store, MARK, [recordKey(keyId)], ['used', atMs, 0]);
    },
  };
}

function recordKey(keyId: string): string {
  return `${AUTH_KEYS}key:${keyId}`;
}

function indexOf(organizationId: string): string {
  return `${AUTH_KEYS}index:${organizationId}`;
}

function memberOf(createdAtMs: number, keyId: string): string {
  return `${String(createdAtMs).padStart(15, '0')}-${keyId}`;
}

function recordOf([record, revoked, used, hash, previous]: Fields): KeyRecord | undefined {
  if (!record) return undefined;
  const added = JSON.parse(record) as KeyRecord;
  return {
    ...added,
    hash: hash ?? added.hash,
    previous: previous ? (JSON.parse(previous) as PreviousSecret[]) : [],
    revokedAtMs: revoked ? Number(revoked) : undefined,
    lastUsedAtMs: used ? Number(used) : undefined,
  };
}
