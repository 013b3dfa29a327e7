import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import { AUTH_KEYS } from './redis-names.ts';
import type { SigningKeyRecord, SigningKeyStore } from './signing-key-store.ts';

/** Hash of the version and the keys as JSON. */
const SIGNING_KEYS = `${AUTH_KEYS}signing-keys`;

/** KEYS: the set. ARGV: the version, the keys. Returns 1, also when the same was put before, else 0. */
const REPLACE = redisScript(`
local known = redis.call('HMGET', KEYS[1], 'version', 'keys')
local version = tonumber(known[1] or '0')
if version == tonumber(ARGV[1]) then return known[2] == ARGV[2] and 1 or 0 end
if version ~= tonumber(ARGV[1]) - 1 then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'keys', ARGV[2])
return 1`);

/** Signing keys in the shared store. */
export function createRedisSigningKeyStore(store: RedisStore): SigningKeyStore {
  return {
    async load() {
      try {
        const [version, keys] = await store.redis.hmget(SIGNING_KEYS, 'version', 'keys');
        return { version: Number(version ?? 0), keys: JSON.parse(keys ?? '[]') as SigningKeyRecord[] };
      } catch (error) {
        throw redisError(error);
      }
    },
    replace: async ({ version, keys }) =>
      (await runScript(store, REPLACE, [SIGNING_KEYS], [version, JSON.stringify(keys)])) === 1,
  };
}
