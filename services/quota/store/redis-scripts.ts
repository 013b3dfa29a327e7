import { redisScript } from '../../shared/store/redis-script.ts';
import { HELD_KEY, LEASE_PREFIX, TAKEN_KEY, VERSION_KEY } from './redis-keys.ts';
import { TRANSITION_LUA } from './redis-transition.ts';

/**
 * What the answers have in common, first of all: 1 done, 0 refused, -1 unknown, -2 another operation's lease, -3 ended, and then
 * its state, -4 stale.
 */
export const REPLY = { done: 1, refused: 0, unknown: -1, taken: -2, ended: -3, stale: -4 } as const;

const DEMAND = `
local function demanded(first)
  return { state = 'h', counted = ARGV[first] == '1', bound = tonumber(ARGV[first + 1]), completion = 0,
    max = tonumber(ARGV[first + 2]), covered = tonumber(ARGV[first + 3]) }
end
local function need_of(f)
  return function(unit)
    local spent, held = claim_of(unit, f)
    return spent + held
  end
end
`;

/** ARGV: time, demand (counted, bound, maximum, covered), limits. Returns four numbers per limit. */
export const INSPECT = redisScript(`${TRANSITION_LUA}${DEMAND}
local now = clock()
local limits, states = standing(ARGV[6], now, {})
return add_statuses({}, limits, states, need_of(demanded(2)), now)`);

/**
 * KEYS: the lease. ARGV: time, demand, limits, reservation id, operation id, version, how long to hold in ms, the beginning of its
 * ledger row. Returns 1, the expiry, what is covered, and four numbers per limit; 0, 0, 0 and those; or another answer.
 */
export const RESERVE = redisScript(`${TRANSITION_LUA}${DEMAND}
local now, id = clock(), ARGV[7]
local limits, states, keys, raws = standing(ARGV[6], now, {}, KEYS[1], '${VERSION_KEY}')
local known = lease_from(raws[1], now)
if known then
  if known.operation ~= ARGV[8] then return { ${REPLY.taken} } end
  if known.state ~= 'h' then return { ${REPLY.ended}, known.state } end
  return add_statuses({ ${REPLY.done}, known.expires, known.covered }, limits, states, nil, now)
end
if (raws[2] or '0') ~= ARGV[9] then return { ${REPLY.stale} } end
local f = demanded(2)
local need = need_of(f)
for i, limit in ipairs(limits) do
  if need(limit[2]) > room_in(limit, states[i]) then
    return add_statuses({ ${REPLY.refused}, 0, 0 }, limits, states, need, now)
  end
end
transition(limits, states, nil, f)
write_changed(keys, limits, states, now)
f.taken, f.expires, f.ended = now, now + ARGV[10], 0
f.operation, f.who, f.limits = ARGV[8], ARGV[11], ARGV[6]
save_held(id, f)
redis.call('ZADD', '${TAKEN_KEY}', 0, taken_member(id, now))
return add_statuses({ ${REPLY.done}, f.expires, f.covered }, limits, states, nil, now)`);

/**
 * KEYS: the lease. ARGV: time, reservation id, how long to hold in ms, prompt tokens or empty, completion tokens, how many to
 * cover. Returns 1, the expiry and what is covered, or another answer.
 */
export const EXTEND = redisScript(`${TRANSITION_LUA}
local now, id = clock(), ARGV[2]
local f = lease_from(redis.call('GET', KEYS[1]), now)
if not f then return { ${REPLY.unknown} } end
if f.state ~= 'h' then return { ${REPLY.ended}, f.state } end
local told = reported(f, tonumber(ARGV[4]), tonumber(ARGV[5]))
local limits, states, keys = standing(f.limits, now, { requests = true, concurrent_requests = true })
transition(limits, states, f, told)
local more = min(tonumber(ARGV[6]), told.max) - told.covered
for i, limit in ipairs(limits) do
  if limit[2] == 'tokens' or limit[2] == 'completion_tokens' then more = min(more, room_in(limit, states[i])) end
end
local to = copy(told)
to.covered = told.covered + max(0, more)
transition(limits, states, told, to)
write_changed(keys, limits, states, now)
to.expires = now + ARGV[3]
save_held(id, to)
return { ${REPLY.done}, to.expires, to.covered }`);

/**
 * KEYS: the lease. ARGV: time, reservation id, prompt tokens, completion tokens, the engine as JSON. Returns 1 and when it was
 * settled, or another answer.
 */
export const SETTLE = redisScript(`${TRANSITION_LUA}
local now, id, prompt, completion = clock(), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local f = lease_from(redis.call('GET', KEYS[1]), now)
if not f then return { ${REPLY.unknown} } end
if f.state == 's' and f.prompt == prompt and f.completion == completion then return { ${REPLY.done}, f.ended } end
if f.state ~= 'h' and f.state ~= 'e' then return { ${REPLY.ended}, f.state } end
local to = ended(f, 's', now)
to.prompt, to.completion = prompt, completion
finish(id, f, to, ARGV[5], now)
return { ${REPLY.done}, now }`);

/** KEYS: the lease. ARGV: time, reservation id. Returns as SETTLE does. */
export const RELEASE = redisScript(`${TRANSITION_LUA}
local now, id = clock(), ARGV[2]
local f = lease_from(redis.call('GET', KEYS[1]), now)
if not f then return { ${REPLY.unknown} } end
if f.state == 'r' then return { ${REPLY.done}, f.ended } end
if f.state ~= 'h' then return { ${REPLY.ended}, f.state } end
if now >= f.expires then return { ${REPLY.ended}, 'e' } end
local to = ended(f, 'r', now)
local limits, states, keys = standing(f.limits, now, {})
transition(limits, states, f, to)
for i, limit in ipairs(limits) do
  if limit[2] == 'requests' and f.counted then give_back(limit, states[i], 1, f.taken) end
end
write_changed(keys, limits, states, now)
save_ended(id, to, f)
return { ${REPLY.done}, now }`);

/** KEYS: the held leases. ARGV: time, how many, spare in ms. Settles those whose time was over so long ago at their last report; returns how many. */
export const EXPIRE = redisScript(`${TRANSITION_LUA}
local now = clock()
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(over) do
  local f = lease_from(redis.call('GET', '${LEASE_PREFIX}' .. id), now)
  if f and f.state == 'h' then
    finish(id, f, ended(f, 'e', now), '""', now)
  else
    redis.call('ZREM', '${HELD_KEY}', id)
  end
end
return #over`);
