import { BUCKET_UNITS } from '../bucket-budget.ts';
import { CLOCK_SLACK_MS, HELD_RETRY_MS, NEVER_MS } from '../budget.ts';
import { WINDOW_LUA } from './redis-window.ts';

/**
 * budget.ts in Lua, in the same order; a differential test holds the two together.
 *
 * A limit is an entry of counted-codec.ts: its counter, unit, kind, maximum, and what else its rule has. A state is { held, spent,
 * ... }. A counter is kept as its kind and three numbers, and the steps of a window after them. One that says nothing is not
 * kept.
 */
export const BUDGET_LUA = `
local UNITS, HELD_RETRY_MS, NEVER_MS, DAY_MS = ${BUCKET_UNITS}, ${HELD_RETRY_MS}, ${NEVER_MS}, 86400000
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
${WINDOW_LUA}
-- Months since January of year 0, by the count of days in 400 years that begin in March.
local function month_at(ms)
  local day = floor(ms / DAY_MS) + 719468
  local era = floor(day / 146097)
  local rest = day - era * 146097
  local year = floor((rest - floor(rest / 1460) + floor(rest / 36524) - floor(rest / 146096)) / 365)
  local month = floor((5 * (rest - 365 * year - floor(year / 4) + floor(year / 100)) + 2) / 153)
  return (era * 400 + year) * 12 + month + 2
end

local function month_begins(period)
  local year, month = floor((period - 2) / 12), (period - 2) % 12
  local days = 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400)
  return (days + floor((153 * month + 2) / 5) - 719468) * DAY_MS
end

local function period_at(limit, ms)
  if limit[5] == 'month' then return month_at(ms) end
  return floor(ms / DAY_MS)
end

local function state_at(limit, raw, now)
  local kind, kept, held, a, b = limit[3], nil, 0, 0, 0
  if raw then
    kept, held, a, b = struct.unpack('<c1ddd', raw)
    if kept ~= kind then kept, held, a, b = nil, 0, 0, 0 end
  end
  if kind == 'w' then return window_at(limit, held, a, b, kept and raw, now) end
  if kind == 'n' then return { held = held, spent = 0 } end
  if kind == 'b' then
    local full = limit[4] * UNITS
    local level = kept and min(full, a + max(0, now - b) * limit[5]) or full
    return { held = held, spent = limit[4] - floor(level / UNITS), level = level, updated = now }
  end
  local period = period_at(limit, now)
  if a == period + 1 then period = a end
  if period > a then b = 0 end
  return { held = held, spent = b, period = period }
end

local function room_in(limit, state)
  return max(0, limit[4] - state.spent - state.held)
end

local function spend(limit, state, amount)
  local kind = limit[3]
  if kind == 'w' then return window_spend(state, amount) end
  if kind == 'n' then return end
  if kind == 'b' then state.level = state.level - amount * UNITS end
  state.spent = state.spent + amount
end

-- Changes the state in place and marks it to be written.
local function change(limit, state, spent, held)
  if spent == 0 and held == 0 then return end
  state.changed = true
  state.held = max(0, state.held + held)
  spent = min(spent, room_in(limit, state))
  if spent > 0 then spend(limit, state, spent) end
end

local function give_back(limit, state, amount, spent_at)
  local kind = limit[3]
  if kind == 'w' then return window_give_back(limit, state, amount, spent_at) end
  if kind == 'n' then return end
  if kind == 'b' then
    spend(limit, state, -amount)
  else
    if period_at(limit, spent_at) ~= state.period then return end
    state.spent = max(0, state.spent - amount)
  end
  state.changed = true
end

local function free_after(limit, state, amount, now)
  local kind = limit[3]
  if kind == 'w' then return window_free_after(limit, state, amount, now) end
  if kind == 'n' then return 0 end
  if kind == 'b' then
    return ceil(((limit[4] - state.spent + amount) * UNITS - state.level) / limit[5])
  end
  return (limit[5] == 'month' and month_begins(state.period + 1) or (state.period + 1) * DAY_MS) - now
end

-- Remaining, held, reset after and retry after.
local function status_of(limit, state, need, now)
  local remaining, reset, retry = room_in(limit, state), 0, 0
  if state.spent > 0 then reset = free_after(limit, state, state.spent, now) end
  if state.held > 0 then reset = max(HELD_RETRY_MS, reset) end
  if need > remaining then
    local excess = state.spent + need - limit[4]
    if need > limit[4] then
      retry = NEVER_MS
    elseif excess > 0 then
      retry = free_after(limit, state, excess, now)
    else
      retry = HELD_RETRY_MS
    end
  end
  return remaining, state.held, reset, retry
end

-- What is held never goes by itself; the rest goes when it no longer counts.
local function write(key, limit, state, now)
  if state.held == 0 and state.spent <= 0 then return redis.call('DEL', key) end
  local kind, raw = limit[3], nil
  if kind == 'w' then
    raw = struct.pack('<c1ddd', kind, state.held, state.newest, state.spent) .. state.steps
  elseif kind == 'b' then
    raw = struct.pack('<c1ddd', kind, state.held, state.level, state.updated)
  else
    raw = struct.pack('<c1ddd', kind, state.held, state.period or 0, state.spent)
  end
  if state.held > 0 then return redis.call('SET', key, raw) end
  redis.call('SET', key, raw, 'PX', free_after(limit, state, state.spent, now) + ${CLOCK_SLACK_MS})
end
`;
