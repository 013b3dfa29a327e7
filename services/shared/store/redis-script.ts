import { createHash } from 'node:crypto';
import { type RedisStore, redisError } from './redis.ts';
import { writeTogether } from './redis-turn.ts';

/** A Lua script: one decision, taken and written in one atomic step on the server. */
export interface RedisScript {
  readonly lua: string;
  /** How the server names it. */
  readonly sha1: string;
}

/** Names a script. Its keys must share one hash tag, so that it runs on a cluster too. */
export function redisScript(lua: string): RedisScript {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') };
}

/**
 * Runs a script in one round trip; a server that does not know it (restarted, flushed) is given it first. The script
 * must change nothing when it is run again with the same arguments, because a lost reply leaves open whether it ran.
 *
 * @throws MeshError STORE_UNAVAILABLE – outcome unknown; an error of the script itself as it is.
 */
export async function runScript(
  store: RedisStore,
  script: RedisScript,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  writeTogether(store.redis);
  try {
    return await store.redis.evalsha(script.sha1, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw redisError(error);
  }
  try {
    // The same once more with its text, which the server keeps; of a cluster the node that has the keys.
    return await store.redis.eval(script.lua, keys.length, ...keys, ...args);
  } catch (error) {
    throw redisError(error);
  }
}
