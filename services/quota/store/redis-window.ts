/**
 * window-budget.ts in Lua. Of the steps only those in which something was spent are kept: packed pairs of the number of the
 * step and what was spent in it, the oldest first. So a window costs what it holds and not what it could hold, and a step
 * that ends costs nothing to those that stay.
 */
export const WINDOW_LUA = `
local STEP = '<dI4'
local STEP_BYTES = 12

-- From the raw counter: its header is 25 bytes.
local function window_at(limit, held, newest, spent, raw, now)
  local now_step = floor(now / limit[5])
  if not raw then return { held = 0, spent = 0, newest = now_step, steps = '' } end
  local shift, first, size = now_step - newest, 26, #raw
  if shift > 0 then
    while first < size do
      local step, count = struct.unpack(STEP, raw, first)
      if step >= now_step - limit[6] then break end
      spent = spent - count
      first = first + STEP_BYTES
    end
  end
  local steps = string.sub(raw, first)
  if shift < 0 then
    -- The clock went back: what was spent ages from there.
    local moved = {}
    for at = 1, #steps, STEP_BYTES do
      local step, count = struct.unpack(STEP, steps, at)
      moved[#moved + 1] = struct.pack(STEP, step + shift, count)
    end
    steps = table.concat(moved)
  end
  return { held = held, spent = spent, newest = now_step, steps = steps }
end

local function window_spend(state, amount)
  local steps, count = state.steps, amount
  local last = #steps - STEP_BYTES + 1
  if last > 0 then
    local step, had = struct.unpack(STEP, steps, last)
    if step == state.newest then
      steps = string.sub(steps, 1, last - 1)
      count = had + amount
    end
  end
  state.steps = steps .. struct.pack(STEP, state.newest, count)
  state.spent = state.spent + amount
end

local function window_give_back(limit, state, amount, spent_at)
  local steps, wanted = state.steps, floor(spent_at / limit[5])
  for at = #steps - STEP_BYTES + 1, 1, -STEP_BYTES do
    local step, count = struct.unpack(STEP, steps, at)
    if step == wanted then
      local left = max(0, count - amount)
      local kept = left > 0 and struct.pack(STEP, step, left) or ''
      state.steps = string.sub(steps, 1, at - 1) .. kept .. string.sub(steps, at + STEP_BYTES)
      state.spent = state.spent - count + left
      state.changed = true
      return
    end
  end
end

local function window_free_after(limit, state, amount, now)
  local steps = state.steps
  -- All of it: the last step says when.
  local at = amount < state.spent and 1 or #steps - STEP_BYTES + 1
  local step, count = struct.unpack(STEP, steps, at)
  local left = amount - count
  while left > 0 and at + STEP_BYTES <= #steps do
    at = at + STEP_BYTES
    step, count = struct.unpack(STEP, steps, at)
    left = left - count
  end
  return (step + limit[6] + 1) * limit[5] - now
end
`;
