import { RETENTION_MS } from '../lease.ts';

/**
 * lease.ts and its codec in Lua. A lease is kept as its figures, packed, and after them what never changes: the operation
 * that made it, who the ledger names, and its limits as they were given. While it is held it does not expire by itself.
 *
 * States: 'h' held, 's' settled, 'r' released, 'e' expired.
 */
export const LEASE_LUA = `
local RETENTION_MS = ${RETENTION_MS}
local FIGURES, FIGURES_BYTES = '<c1Bdddddddd', 66

local function pack_figures(f)
  return struct.pack(FIGURES, f.state, f.counted and 1 or 0, f.bound, f.prompt or -1, f.completion, f.covered, f.max,
    f.taken, f.expires, f.ended)
end

local function pack_lease(f)
  return pack_figures(f) .. struct.pack('<I4c0I4c0I4c0', #f.operation, f.operation, #f.who, f.who, #f.limits, f.limits)
end

-- The lease as far as it is remembered.
local function lease_from(raw, now)
  if not raw then return nil end
  local f = {}
  local counted
  f.state, counted, f.bound, f.prompt, f.completion, f.covered, f.max, f.taken, f.expires, f.ended =
    struct.unpack(FIGURES, raw)
  if f.state ~= 'h' and now >= f.ended + RETENTION_MS then return nil end
  f.counted = counted == 1
  if f.prompt < 0 then f.prompt = nil end
  f.operation, f.who, f.limits = struct.unpack('<I4c0I4c0I4c0', raw, FIGURES_BYTES + 1)
  return f
end

local function prompt_claim(f)
  if f.prompt then return f.prompt, 0 end
  return 0, f.state == 'h' and f.bound or 0
end

local function completion_claim(f)
  return f.completion, f.state == 'h' and f.covered - f.completion or 0
end

-- What a lease has spent and holds of a limit.
local function claim_of(unit, f)
  if unit == 'tokens' then
    local prompt, prompt_held = prompt_claim(f)
    local completion, completion_held = completion_claim(f)
    return prompt + completion, prompt_held + completion_held
  end
  if unit == 'requests' then return f.counted and 1 or 0, 0 end
  if unit == 'prompt_tokens' then return prompt_claim(f) end
  if unit == 'completion_tokens' then return completion_claim(f) end
  if f.state ~= 'h' then return 0, 0 end
  if unit == 'concurrent_requests' then return 0, 1 end
  return 0, (f.prompt or f.bound) + f.max
end

local function change_of(unit, from, to)
  local spent, held = claim_of(unit, to)
  if not from then return spent, held end
  local spent_before, held_before = claim_of(unit, from)
  return max(0, spent - spent_before), held - held_before
end

local function copy(f)
  local to = {}
  for name, value in pairs(f) do to[name] = value end
  return to
end

local function reported(f, prompt, completion)
  local to = copy(f)
  to.prompt = f.prompt or prompt
  to.completion = max(f.completion, completion)
  to.covered = max(f.covered, to.completion)
  return to
end

local function ended(f, state, now)
  local to = copy(f)
  to.state, to.ended = state, now
  to.counted = f.counted and state ~= 'r'
  return to
end
`;
