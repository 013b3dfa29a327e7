import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import { formatNameCursor, parseNameCursor } from './page-cursor.ts';
import { AUTH_KEYS, DISABLED_USERS, ENABLED_USERS } from './redis-names.ts';
import type { UserPage, UserQuery, UserRecord, UserStore } from './user-store.ts';

/** Names, all with score 0: their order is that of their bytes. */
const ALL = `${AUTH_KEYS}users`;

/**
 * KEYS: the user, the names, the names of its organisation, the disabled ones. ARGV: the record, the name, the hash, when
 * the password was set. Returns 1, also when the same was added before, else 0.
 */
const ADD = redisScript(`
if redis.call('HEXISTS', KEYS[4], ARGV[2]) == 1 then return 0 end
if redis.call('HSETNX', KEYS[1], 'record', ARGV[1]) == 0 then
  local known = redis.call('HMGET', KEYS[1], 'record', 'hash')
  return known[1] == ARGV[1] and known[2] == ARGV[3] and 1 or 0
end
redis.call('HSET', KEYS[1], 'hash', ARGV[3], 'changed', ARGV[4])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
redis.call('ZADD', KEYS[3], 0, ARGV[2])
return 1`);

/** KEYS: the user. ARGV: the new hash, when the password was set, the hash that it must have; empty: as before, any. */
const SET_HASH = redisScript(`
local hash = redis.call('HGET', KEYS[1], 'hash')
if not hash or (ARGV[3] ~= '' and hash ~= ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], 'hash', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'changed', ARGV[2]) end
return 1`);

/** KEYS: the disabled ones. ARGV: the name, now. Returns when it was disabled. */
const DISABLE = redisScript(`
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])`);

/** KEYS: the user, the disabled ones, the enabled ones. ARGV: the name, now. */
const ENABLE = redisScript(`
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
local changed = redis.call('HGET', KEYS[1], 'changed')
if changed then redis.call('HSET', KEYS[1], 'changed', math.max(ARGV[2], changed + 1)) end
return 1`);

/** KEYS: the disabled ones, the enabled ones. ARGV: the name. Returns when it was each. */
const STATE = redisScript(`
return { redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[2], ARGV[1]) }`);

/** KEYS: the user, the disabled ones. ARGV: the name. Returns its fields. */
const FIND = redisScript(`
local user = redis.call('HMGET', KEYS[1], 'record', 'hash', 'changed')
user[4] = redis.call('HGET', KEYS[2], ARGV[1])
return user`);

/** KEYS: names, the disabled ones. ARGV: the name before the first, how many. Returns the fields of each. */
const LIST = redisScript(`
local reply = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[1], '+', 'BYLEX', 'LIMIT', 0, ARGV[2])) do
  local user = redis.call('HMGET', '${AUTH_KEYS}user:' .. name, 'record', 'hash', 'changed')
  user[4] = redis.call('HGET', KEYS[2], name)
  reply[#reply + 1] = user
end
return reply`);

type Fields = readonly (string | null)[];

/** Users in the shared store. */
export function createRedisUserStore(store: RedisStore): UserStore {
  async function list({ organizationId, limit, after }: UserQuery): Promise<UserPage> {
    const names = organizationId === undefined ? ALL : namesOf(organizationId);
    const start = after === undefined ? '-' : `(${parseNameCursor(after)}`;
    const rows = (await runScript(store, LIST, [names, DISABLED_USERS], [start, limit + 1])) as Fields[];
    const records = rows.slice(0, limit).flatMap((fields) => recordOf(fields) ?? []);
    const last = records.at(-1);
    return { records, next: rows.length > limit && last ? formatNameCursor(last.userId) : undefined };
  }

  return {
    find: async (userId) =>
      recordOf((await runScript(store, FIND, [userKey(userId), DISABLED_USERS], [userId])) as Fields),
    async add(record) {
      const { passwordHash, passwordChangedAtMs, disabledAtMs: _, ...rest } = record;
      const keys = [userKey(record.userId), ALL, namesOf(record.organizationId), DISABLED_USERS];
      const args = [JSON.stringify(rest), record.userId, passwordHash, passwordChangedAtMs];
      return (await runScript(store, ADD, keys, args)) === 1;
    },
    setPassword: async (userId, passwordHash, atMs) =>
      (await runScript(store, SET_HASH, [userKey(userId)], [passwordHash, atMs, ''])) === 1,
    async upgradeHash(userId, from, to) {
      await runScript(store, SET_HASH, [userKey(userId)], [to, '', from]);
    },
    disable: async (userId, atMs) => Number(await runScript(store, DISABLE, [DISABLED_USERS], [userId, atMs])),
    async enable(userId, atMs) {
      await runScript(store, ENABLE, [userKey(userId), DISABLED_USERS, ENABLED_USERS], [userId, atMs]);
    },
    async stateOf(userId) {
      const times = (await runScript(store, STATE, [DISABLED_USERS, ENABLED_USERS], [userId])) as Fields;
      const [disabledAtMs, enabledAtMs] = times.map((time) => (time ? Number(time) : undefined));
      return { disabledAtMs, enabledAtMs };
    },
    async disabledAtMs(userId) {
      try {
        const atMs = await store.redis.hget(DISABLED_USERS, userId);
        return atMs === null ? undefined : Number(atMs);
      } catch (error) {
        throw redisError(error);
      }
    },
    list,
  };
}

function userKey(userId: string): string {
  return `${AUTH_KEYS}user:${userId}`;
}

function namesOf(organizationId: string): string {
  return `${AUTH_KEYS}users-of:${organizationId}`;
}

function recordOf([record, hash, changed, disabled]: Fields): UserRecord | undefined {
  if (!record || !hash) return undefined;
  return {
    ...(JSON.parse(record) as Omit<UserRecord, 'passwordHash' | 'passwordChangedAtMs' | 'disabledAtMs'>),
    passwordHash: hash,
    passwordChangedAtMs: Number(changed),
    disabledAtMs: disabled ? Number(disabled) : undefined,
  };
}
