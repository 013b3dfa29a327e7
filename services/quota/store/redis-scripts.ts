import { redisScript } from '../../shared/store/redis-script.ts';
import { BUCKET_UNITS, STEPS } from '../budget.ts';
import { RETENTION_MS } from '../lease.ts';

/** All keys of quota. One hash tag keeps them on one node of a cluster, because one decision may touch any of them. */
export const QUOTA_KEYS = 'mesh:quota:{quota}:';

/**
 * What all scripts share. ARGV[1] is the time in milliseconds, empty for the server's own, which is the one clock of
 * all processes. A lease is a hash, `held` orders those that are held by their expiry, a counter is packed bytes.
 *
 * The arithmetic is that of `budget.ts`, line by line; a test holds the two together.
 */
const COMMON = `
local PREFIX, STEPS, UNITS, RETENTION_MS = '${QUOTA_KEYS}', ${STEPS}, ${BUCKET_UNITS}, ${RETENTION_MS}
-- Counters outlive their use a little, so that a clock that is set back finds them.
local SLACK_MS = 60000
local WINDOW = '<d' .. string.rep('I4', STEPS)

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function unpack_state(raw)
  if #raw == 16 then
    local level, updated = struct.unpack('<dd', raw)
    return { level = level, updated = updated }
  end
  local counts = { struct.unpack(WINDOW, raw) }
  -- The last value is where unpacking ended.
  table.remove(counts)
  local newest = table.remove(counts, 1)
  return { newest = newest, counts = counts }
end

local function pack_state(state)
  if state.level then return struct.pack('<dd', state.level, state.updated) end
  return struct.pack(WINDOW, state.newest, unpack(state.counts, 1, STEPS))
end

local function kept(counter)
  local raw = redis.call('GET', PREFIX .. 'counter:' .. counter)
  return raw and unpack_state(raw) or nil
end

local function state_at(rule, old, now)
  if rule.step == 0 then
    local full = rule.burst * UNITS
    if not old or not old.level then return { level = full, updated = now } end
    local elapsed = math.max(0, now - old.updated)
    return { level = math.min(full, old.level + elapsed * rule.maximum), updated = now }
  end
  local newest, counts = math.floor(now / rule.step), {}
  local had = old and old.counts or {}
  local shift = had[1] and math.max(0, newest - old.newest) or 0
  for i = 1, STEPS do counts[i] = had[i - shift] or 0 end
  return { newest = newest, counts = counts }
end

-- Remaining, reset after and retry after.
local function status_of(rule, state, now)
  if state.level then
    local retry = 0
    if state.level < UNITS then retry = math.ceil((UNITS - state.level) / rule.maximum) end
    return math.floor(state.level / UNITS), math.ceil((rule.burst * UNITS - state.level) / rule.maximum), retry
  end
  local total, newest = 0, STEPS
  for i = STEPS, 1, -1 do
    if state.counts[i] > 0 then newest = i - 1 end
    total = total + state.counts[i]
  end
  local oldest, left = STEPS, total
  while left >= rule.maximum and oldest > 0 do
    left = left - state.counts[oldest]
    oldest = oldest - 1
  end
  local reset, retry = 0, 0
  if total > 0 then reset = (state.newest - newest + STEPS) * rule.step - now end
  if total >= rule.maximum then retry = (state.newest - oldest + STEPS) * rule.step - now end
  return math.max(0, rule.maximum - total), reset, retry
end

-- Limits stand in ARGV from 'first' on: counter, length of the step in ms (0: bucket), maximum or refill, burst.
local function limits_from(first, now)
  local limits = {}
  for i = first, #ARGV, 4 do
    local rule = { step = tonumber(ARGV[i + 1]), maximum = tonumber(ARGV[i + 2]), burst = tonumber(ARGV[i + 3]) }
    limits[#limits + 1] = { counter = ARGV[i], rule = rule, state = state_at(rule, kept(ARGV[i]), now) }
  end
  return limits
end

local function add_statuses(reply, limits, now)
  for _, limit in ipairs(limits) do
    local remaining, reset, retry = status_of(limit.rule, limit.state, now)
    reply[#reply + 1] = remaining
    reply[#reply + 1] = reset
    reply[#reply + 1] = retry
  end
  return reply
end
`;

/** ARGV: time, limits. Returns three numbers per limit. */
export const INSPECT = redisScript(`${COMMON}
local now = clock()
return add_statuses({}, limits_from(2, now), now)`);

/**
 * KEYS: the lease, the held leases. ARGV: time, reservation id, operation id, how long to hold in ms, 1 when it was
 * counted before, the ledger's key as JSON, limits. Returns 1 and the expiry, 0 when refused or -1 when the id is
 * another operation's; then three numbers per limit.
 */
export const RESERVE = redisScript(`${COMMON}
local now = clock()
local known = redis.call('HMGET', KEYS[1], 'operation', 'expires')
if known[1] then
  if known[1] ~= ARGV[3] then return { -1, 0 } end
  return add_statuses({ 1, tonumber(known[2]) }, limits_from(7, now), now)
end
local limits, charges = limits_from(7, now), {}
if ARGV[5] ~= '1' then
  for _, limit in ipairs(limits) do
    local _, _, retry = status_of(limit.rule, limit.state, now)
    if retry > 0 then return add_statuses({ 0, 0 }, limits, now) end
  end
  for i, limit in ipairs(limits) do
    local state = limit.state
    if state.level then state.level = state.level - UNITS else state.counts[1] = state.counts[1] + 1 end
    local _, reset = status_of(limit.rule, state, now)
    redis.call('SET', PREFIX .. 'counter:' .. limit.counter, pack_state(state), 'PX', reset + SLACK_MS)
    charges[i] = { limit.counter, limit.rule.step }
  end
end
local expires = now + tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'operation', ARGV[3], 'state', 'held', 'ledger', ARGV[6], 'charges', cjson.encode(charges),
  'taken', string.format('%d', now), 'expires', string.format('%d', expires))
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[4]) + RETENTION_MS)
redis.call('ZADD', KEYS[2], expires, ARGV[2])
return add_statuses({ 1, expires }, limits, now)`);

/** How a lease ends: the same questions in the same order as in lease.ts. */
const END = `${COMMON}
-- Returns nothing when the lease may end as 'state' now, else the answer.
local function ending_as(state, lease, now)
  if not lease[1] then return { -1, 0, '' } end
  if lease[1] == state then return { 1, tonumber(lease[2]), '' } end
  if lease[1] ~= 'held' then return { 0, 0, lease[1] } end
  if now >= tonumber(lease[3]) then return { 0, 0, 'expired' } end
  return nil
end

local function finish(key, id, state, now)
  redis.call('HSET', key, 'state', state, 'ended', string.format('%d', now))
  redis.call('PEXPIRE', key, RETENTION_MS)
  redis.call('ZREM', PREFIX .. 'held', id)
end
`;

/**
 * KEYS: the lease. ARGV: time, reservation id, prompt tokens, completion tokens, engine. Returns 1 and when it was
 * settled, 0 with the state that it ended in, or -1 when there is no such lease.
 */
export const SETTLE = redisScript(`${END}
local now = clock()
local lease = redis.call('HMGET', KEYS[1], 'state', 'ended', 'expires', 'prompt', 'completion', 'ledger')
local answer = ending_as('settled', lease, now)
if answer then
  if answer[1] == 1 and (lease[4] ~= ARGV[3] or lease[5] ~= ARGV[4]) then return { 0, 0, 'settled' } end
  return answer
end
redis.call('HSET', KEYS[1], 'prompt', ARGV[3], 'completion', ARGV[4])
finish(KEYS[1], ARGV[2], 'settled', now)
local who = cjson.decode(lease[6])
who[#who + 1] = ARGV[5]
local row, usage = cjson.encode(who), PREFIX .. 'usage:' .. string.format('%d', math.floor(now / 86400000))
redis.call('HINCRBY', usage, 'requests:' .. row, 1)
redis.call('HINCRBY', usage, 'prompt_tokens:' .. row, ARGV[3])
redis.call('HINCRBY', usage, 'completion_tokens:' .. row, ARGV[4])
return { 1, now, '' }`);

/** KEYS: the lease. ARGV: time, reservation id. Returns as SETTLE does. */
export const RELEASE = redisScript(`${END}
local now = clock()
local lease = redis.call('HMGET', KEYS[1], 'state', 'ended', 'expires', 'taken', 'charges')
local answer = ending_as('released', lease, now)
if answer then return answer end
finish(KEYS[1], ARGV[2], 'released', now)
for _, charge in ipairs(cjson.decode(lease[5])) do
  local state = kept(charge[1])
  if state then
    if state.level then
      state.level = state.level + UNITS
    else
      local i = state.newest - math.floor(tonumber(lease[4]) / charge[2]) + 1
      if (state.counts[i] or 0) > 0 then state.counts[i] = state.counts[i] - 1 end
    end
    redis.call('SET', PREFIX .. 'counter:' .. charge[1], pack_state(state), 'KEEPTTL')
  end
end
return { 1, now, '' }`);

/** KEYS: the held leases. ARGV: time, how many. Expires those whose time is over; returns how many. */
export const EXPIRE = redisScript(`${COMMON}
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', clock()), 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(over) do
  local key = PREFIX .. 'lease:' .. id
  local lease = redis.call('HMGET', key, 'state', 'expires')
  if lease[1] == 'held' then
    redis.call('HSET', key, 'state', 'expired', 'ended', lease[2])
    redis.call('PEXPIRE', key, RETENTION_MS)
  end
  redis.call('ZREM', KEYS[1], id)
end
return #over`);
