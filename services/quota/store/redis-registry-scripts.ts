import { redisScript } from '../../shared/store/redis-script.ts';
import { LEASE_PREFIX, ROWS_PREFIX, USAGE_PREFIX, VERSION_KEY } from './redis-keys.ts';
import { LEASE_LUA } from './redis-lease.ts';
import { CLOCK_LUA } from './redis-transition.ts';

/**
 * KEYS: the taken leases. ARGV: how many, where the last page ended. Returns seven per lease: its place, id, ledger row, what it
 * holds, what was told, when it was taken and when it expires.
 */
export const HELD_LEASES = redisScript(`local max = math.max
${LEASE_LUA}
local after = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local reply = {}
for _, place in ipairs(redis.call('ZRANGEBYLEX', KEYS[1], after, '+', 'LIMIT', 0, ARGV[1])) do
  local id = string.sub(place, 17)
  local f = lease_from(redis.call('GET', '${LEASE_PREFIX}' .. id), 0)
  local _, held = claim_of('tokens', f)
  for _, value in ipairs({ place, id, f.who, held, f.completion, f.taken, f.expires }) do reply[#reply + 1] = value end
end
return reply`);

/** KEYS: the rows of a day. ARGV: the day, from and up to which row, how many. Returns rows and their figures in turn. */
export const USAGE = redisScript(`
local rows = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
if #rows == 0 then return {} end
local figures, reply = redis.call('HMGET', '${USAGE_PREFIX}' .. ARGV[1], unpack(rows)), {}
for i, row in ipairs(rows) do
  reply[#reply + 1] = row
  reply[#reply + 1] = figures[i]
end
return reply`);

/** KEYS: the days of the ledger. ARGV: time, for how many days it is kept, how many days to drop at most. */
export const DROP_DAYS = redisScript(`${CLOCK_LUA}
local first = math.floor(clock() / 86400000) - ARGV[2]
for _, day in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. first, 'LIMIT', 0, ARGV[3])) do
  redis.call('UNLINK', '${ROWS_PREFIX}' .. day, '${USAGE_PREFIX}' .. day)
  redis.call('ZREM', KEYS[1], day)
end`);

/** KEYS: the limits of subjects. Returns their version, then subjects and limits in turn. */
export const SUBJECTS = redisScript(`
local reply = redis.call('HGETALL', KEYS[1])
table.insert(reply, 1, redis.call('GET', '${VERSION_KEY}') or '0')
return reply`);

/** KEYS: the limits of subjects. ARGV: subject, limits or empty. Returns the version after it. */
export const SET_SUBJECT = redisScript(`
local known = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if known == ARGV[2] then return tonumber(redis.call('GET', '${VERSION_KEY}') or '0') end
if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return redis.call('INCR', '${VERSION_KEY}')`);
