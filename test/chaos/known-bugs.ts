import { Redis } from 'ioredis';
import { RESERVE } from '../../services/quota/store/redis-scripts.ts';
import { type RedisScript, redisScript } from '../../services/shared/store/redis-script.ts';
import type { Build, Meter } from './miniature.ts';

/**
 * Mistakes that systems of this kind were found to make, each built into a miniature that is sound otherwise, so that it is
 * known that the checker finds them.
 */
export const KNOWN_BUGS = {
  /**
   * A generator counts a token behind its `yield` and returns the rest in its `finally`: where the reader leaves, the last token
   * is delivered and not charged.
   */
  refundInFinally: { meter: meterByGenerator },

  /** Two steps instead of one: it is looked whether there is room, then it is taken. Two that look at once both take. */
  checkThenCharge: {
    open: async (url) => {
      const redis = new Redis(url);
      const check = edited(/\ntransition\(limits, states, nil, f\)/, '\nif true then return { 1, 0, 0 } end$&');
      const charge = edited(/if need\(limit\[2\]\) > room_in\(limit, states\[i\]\) then/, 'if false then');
      replaceReserve(redis, async (run, args) => {
        const answer = (await run(check, args)) as number[];
        return answer[0] === 1 ? run(charge, args) : answer;
      });
      return { kind: 'redis', redis };
    },
  },

  /** A connection that sends again what it has no answer to, and a step that does not ask whether it was taken before. */
  incrementResent: {
    open: async (url) => {
      const redis = new Redis(url, { autoResendUnfulfilledCommands: true, maxRetriesPerRequest: null });
      const again = edited(/\nif known then\n/, '\nif false then\n');
      replaceReserve(redis, (run, args) => run(again, args));
      return { kind: 'redis', redis };
    },
  },
} satisfies Record<string, Build>;

async function meterByGenerator(...[tokens, isWanted]: Parameters<Meter>): Promise<number> {
  let refunded = 0;
  const reserved = 1_000;
  async function* metered(): AsyncGenerator<number> {
    let used = 0;
    try {
      for await (const token of tokens) {
        yield token;
        used += 1;
      }
    } finally {
      refunded = reserved - used;
    }
  }
  for await (const token of metered()) if (!isWanted(token)) break;
  return reserved - refunded;
}

/** The script that reserves, with a mistake in it. */
function edited(sound: RegExp, broken: string): RedisScript {
  const lua = RESERVE.lua.replace(sound, broken);
  if (lua === RESERVE.lua) throw new Error(`the script that reserves has no ${sound} any more: break it elsewhere`);
  return redisScript(lua);
}

type Run = (script: RedisScript, args: readonly unknown[]) => Promise<unknown>;

/** Does something else in place of the script that reserves. */
function replaceReserve(redis: Redis, instead: (run: Run, args: readonly unknown[]) => Promise<unknown>): void {
  // What it says of connections that are cut concerns nobody.
  redis.on('error', () => {});
  const evalsha = redis.evalsha.bind(redis) as (...args: readonly unknown[]) => Promise<unknown>;
  const run: Run = ({ lua }, args) => redis.eval(lua, ...(args as [number, ...string[]]));
  const replaced = (sha1: string, ...args: readonly unknown[]): Promise<unknown> =>
    sha1 === RESERVE.sha1 ? instead(run, args) : evalsha(sha1, ...args);
  Object.assign(redis, { evalsha: replaced });
}
