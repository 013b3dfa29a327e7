import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import type { OrganizationRecord, OrganizationStore } from './organization-store.ts';
import { AUTH_KEYS } from './redis-names.ts';

/** KEYS: the organisation. ARGV: its record. Returns 1, also when the same was added before, else 0. */
const ADD = redisScript(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`);

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
      return (await runScript(store, ADD, [organizationKey(organizationId)], [text])) === 1;
    },
  };
}

function organizationKey(organizationId: string): string {
  return `${AUTH_KEYS}organization:${organizationId}`;
}
