import { CLOCK_SLACK_MS } from '../budget.ts';
import { BUDGET_LUA } from './redis-budget.ts';
import {
  COUNTER_PREFIX,
  DAYS_KEY,
  HELD_KEY,
  LEASE_PREFIX,
  ROWS_PREFIX,
  TAKEN_KEY,
  USAGE_PREFIX,
} from './redis-keys.ts';
import { LEASE_LUA } from './redis-lease.ts';

/** ARGV[1] is the time in milliseconds, empty for the server's own, which is the one clock of all processes. */
export const CLOCK_LUA = `
local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/** What the scripts share: the arithmetic, how limits are read and written, and what ending a lease comes to. */
export const TRANSITION_LUA = `${CLOCK_LUA}${BUDGET_LUA}${LEASE_LUA}
-- The limits of the units that 'skipped' does not name, as they stand now, and what else was read before them.
local function standing(json, now, skipped, ...)
  local limits, keys = {}, { ... }
  local others = #keys
  for _, limit in ipairs(cjson.decode(json)) do
    if not skipped[limit[2]] then
      limits[#limits + 1] = limit
      keys[others + #limits] = '${COUNTER_PREFIX}' .. limit[1]
    end
  end
  if #keys == 0 then return limits, {}, keys, keys end
  local raws, states = redis.call('MGET', unpack(keys)), {}
  for i, limit in ipairs(limits) do
    keys[i], states[i] = keys[others + i], state_at(limit, raws[others + i], now)
  end
  return limits, states, keys, raws
end

local function transition(limits, states, from, to)
  for i, limit in ipairs(limits) do change(limit, states[i], change_of(limit[2], from, to)) end
end

local function write_changed(keys, limits, states, now)
  for i, limit in ipairs(limits) do
    if states[i].changed then write(keys[i], limit, states[i], now) end
  end
end

local function add_statuses(reply, limits, states, need_of, now)
  local size = #reply
  for i, limit in ipairs(limits) do
    local need = need_of and need_of(limit[2]) or 0
    reply[size + 1], reply[size + 2], reply[size + 3], reply[size + 4] = status_of(limit, states[i], need, now)
    size = size + 4
  end
  return reply
end

local function taken_member(id, taken)
  return string.format('%015d:', taken) .. id
end

local function save_held(id, f)
  redis.call('SET', '${LEASE_PREFIX}' .. id, pack_lease(f))
  redis.call('ZADD', '${HELD_KEY}', f.expires, id)
end

-- Writes an ended lease; it was held unless 'from' had expired.
local function save_ended(id, f, from)
  redis.call('SET', '${LEASE_PREFIX}' .. id, pack_lease(f), 'PX', RETENTION_MS + ${CLOCK_SLACK_MS})
  if from.state ~= 'h' then return end
  redis.call('ZREM', '${HELD_KEY}', id)
  redis.call('ZREM', '${TAKEN_KEY}', taken_member(id, f.taken))
end

local function bill(from, to, engine, now)
  local requests, prompt, completion = from.counted and 1 or 0, to.prompt or 0, to.completion
  if from.state == 'e' then
    requests, prompt, completion = 0, prompt - (from.prompt or 0), completion - from.completion
  end
  local day = string.format('%d', floor(now / DAY_MS))
  local row, usage = to.who .. engine .. ']', '${USAGE_PREFIX}' .. day
  local known = redis.call('HGET', usage, row)
  if known then
    local r, p, c = string.match(known, '(%-?%d+) (%-?%d+) (%-?%d+)')
    requests, prompt, completion = requests + r, prompt + p, completion + c
  else
    redis.call('ZADD', '${ROWS_PREFIX}' .. day, 0, row)
    redis.call('ZADD', '${DAYS_KEY}', day, day)
  end
  redis.call('HSET', usage, row, string.format('%d %d %d', requests, prompt, completion))
end

-- Ends a lease at what 'to' says and bills it.
local function finish(id, from, to, engine, now)
  local limits, states, keys = standing(from.limits, now, { requests = true })
  transition(limits, states, from, to)
  write_changed(keys, limits, states, now)
  save_ended(id, to, from)
  bill(from, to, engine, now)
end

`;
