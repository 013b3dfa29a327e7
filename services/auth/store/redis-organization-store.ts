import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import type { OrganizationRecord, OrganizationStore } from './organization-store.ts';
import { formatNameCursor, parseNameCursor } from './page-cursor.ts';
import { AUTH_KEYS } from './redis-names.ts';

/** Ids, all with score 0: their order is that of their bytes. */
const ALL = `${AUTH_KEYS}organizations`;

/** KEYS: the organisation, the ids. ARGV: its record, its id. Returns 1, also when the same was added before, else 0. */
const ADD = redisScript(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
redis.call('ZADD', KEYS[2], 0, ARGV[2])
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`);

/** KEYS: the ids. ARGV: the id before the first, how many. Returns the record of each. */
const LIST = redisScript(`
local reply = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], ARGV[1], '+', 'BYLEX', 'LIMIT', 0, ARGV[2])) do
  reply[#reply + 1] = redis.call('GET', '${AUTH_KEYS}organization:' .. id)
end
return reply`);

/** Organisations in the shared store. */
export function createRedisOrganizationStore(store: RedisStore): OrganizationStore {
  return {
    async find(organizationId) {
      try {
        const text = await store.redis.get(organizationKey(organizationId));
        return text === null ? undefined : (JSON.parse(text) as OrganizationRecord);
      } catch (error) {
        throw redisError(error);
      }
    },
    add: async ({ organizationId, tier, createdAtMs }) => {
      const text = JSON.stringify({ organizationId, tier, createdAtMs });
      return (await runScript(store, ADD, [organizationKey(organizationId), ALL], [text, organizationId])) === 1;
    },
    list: async ({ limit, after }) => {
      const start = after === undefined ? '-' : `(${parseNameCursor(after)}`;
      const texts = (await runScript(store, LIST, [ALL], [start, limit + 1])) as string[];
      const records = texts.slice(0, limit).map((text) => JSON.parse(text) as OrganizationRecord);
      const last = records.at(-1);
      return { records, next: texts.length > limit && last ? formatNameCursor(last.organizationId) : undefined };
    },
  };
}

function organizationKey(organizationId: string): string {
  return `${AUTH_KEYS}organization:${organizationId}`;
}
