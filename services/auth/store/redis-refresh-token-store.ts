import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import { AUTH_KEYS } from './redis-names.ts';
import type { RefreshTokenStore, TokenFamily } from './refresh-token-store.ts';

/** KEYS: the family. ARGV: its record, its hash, its end. */
const ADD = redisScript(`
if redis.call('HSETNX', KEYS[1], 'record', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'hash', ARGV[2])
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return 1`);

/** KEYS: the family. ARGV: the hash to replace, the new one. Returns 1 when it is the new one. */
const ROTATE = redisScript(`
local hash = redis.call('HGET', KEYS[1], 'hash')
if hash == ARGV[1] then
  redis.call('HSET', KEYS[1], 'hash', ARGV[2])
  return 1
end
return hash == ARGV[2] and 1 or 0`);

/** Refresh tokens in the shared store. */
export function createRedisRefreshTokenStore(store: RedisStore): RefreshTokenStore {
  return {
    async add(family, nowMs) {
      const { hash, ...record } = family;
      // The server's clock drops it, late rather than early where it is not ours: find looks at the record.
      const dropAtMs = Date.now() + family.expiresAtMs - nowMs;
      await runScript(store, ADD, [familyKey(family.familyId)], [JSON.stringify(record), hash, dropAtMs]);
    },
    async find(familyId, nowMs) {
      try {
        const [text, hash] = await store.redis.hmget(familyKey(familyId), 'record', 'hash');
        if (!text || !hash) return undefined;
        const family = { ...(JSON.parse(text) as Omit<TokenFamily, 'hash'>), hash };
        return family.expiresAtMs > nowMs ? family : undefined;
      } catch (error) {
        throw redisError(error);
      }
    },
    rotate: async (familyId, from, to) => (await runScript(store, ROTATE, [familyKey(familyId)], [from, to])) === 1,
    async end(familyId) {
      try {
        await store.redis.del(familyKey(familyId));
      } catch (error) {
        throw redisError(error);
      }
    },
  };
}

function familyKey(familyId: string): string {
  return `${AUTH_KEYS}token-family:${familyId}`;
}
