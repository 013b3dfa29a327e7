import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { redisScript, runScript } from '../../shared/store/redis-script.ts';
import { DAYS_KEY, ROWS_PREFIX, USAGE_PREFIX } from './redis-keys.ts';
import { ledgerRow } from './redis-ledger-row.ts';

/** Where version 1 kept its ledger: a hash per day, of every row the fields requests, prompt_tokens and completion_tokens. */
const OLD_USAGE = 'mesh:quota:{quota}:usage:';

/** Held leases of version 1, which alone of its other keys do not expire. */
const OLD_HELD = 'mesh:quota:{quota}:held';

/** Days that are looked at: as long as version 1 can have run. */
const DAYS = 400;

/** Rows that one script moves. */
const PAGE_ROWS = 200;

/** KEYS: old leases. ARGV: how many days. Returns those up to tomorrow that have an old ledger. */
const OLD_DAYS = redisScript(`
redis.call('DEL', KEYS[1])
local today, days = math.floor(redis.call('TIME')[1] / 86400), {}
for day = today - ARGV[1], today + 1 do
  if redis.call('EXISTS', '${OLD_USAGE}' .. day) == 1 then days[#days + 1] = day end
end
return days`);

/** KEYS: the old day. ARGV: the day, then rows in turn as they were and as they are. A row that was moved is gone. */
const MOVE = redisScript(`
local day = ARGV[1]
local usage = '${USAGE_PREFIX}' .. day
for i = 2, #ARGV, 2 do
  local names = { 'requests:' .. ARGV[i], 'prompt_tokens:' .. ARGV[i], 'completion_tokens:' .. ARGV[i] }
  local old = redis.call('HMGET', KEYS[1], unpack(names))
  if old[1] then
    local r, p, c = string.match(redis.call('HGET', usage, ARGV[i + 1]) or '0 0 0', '(%-?%d+) (%-?%d+) (%-?%d+)')
    redis.call('HSET', usage, ARGV[i + 1], string.format('%d %d %d', r + old[1], p + (old[2] or 0), c + (old[3] or 0)))
    redis.call('ZADD', '${ROWS_PREFIX}' .. day, 0, ARGV[i + 1])
    redis.call('ZADD', '${DAYS_KEY}', day, day)
    redis.call('HDEL', KEYS[1], unpack(names))
  end
end`);

/**
 * Moves the usage ledger of version 1 into the one that is read. Its counters and leases expire by themselves. Doing it again
 * changes nothing.
 *
 * @throws MeshError STORE_UNAVAILABLE – some of it may have been moved.
 */
export async function moveOldLedger(store: RedisStore): Promise<void> {
  for (const day of (await runScript(store, OLD_DAYS, [OLD_HELD], [DAYS])) as number[]) {
    const key = `${OLD_USAGE}${day}`;
    const rows = await oldRows(store, key);
    for (let i = 0; i < rows.length; i += PAGE_ROWS) {
      const pairs = rows.slice(i, i + PAGE_ROWS).flatMap((row) => [row, fromOldRow(row)]);
      await runScript(store, MOVE, [key], [day, ...pairs]);
    }
  }
}

async function oldRows({ redis }: RedisStore, key: string): Promise<string[]> {
  try {
    const fields = await redis.hkeys(key);
    return fields.filter((field) => field.startsWith('requests:')).map((field) => field.slice('requests:'.length));
  } catch (error) {
    throw redisError(error);
  }
}

function fromOldRow(row: string): string {
  const [keyId = '', userId = '', organizationId = '', model = '', engine = ''] = JSON.parse(row) as string[];
  return ledgerRow({ keyId, userId, organizationId }, model, engine);
}
