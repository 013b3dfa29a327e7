import { redisScript } from '../../shared/store/redis-script.ts';

/** All keys of tasks. One hash tag keeps them on one node of a cluster. */
export const TASK_KEYS = 'mesh:tasks:1:{tasks}:';

/** What a reply has of a task, in this order; then its position. */
export const TASK_FIELDS = [
  ...['id', 'owner', 'state', 'attempt', 'endUser', 'submitted', 'started', 'ended', 'expires'],
  ...['failure', 'message', 'prompt', 'completion', 'result', 'seq'],
] as const;

/**
 * Shared by all scripts. ARGV[1] is the time in milliseconds, or '' for the server's clock; ARGV[2] the channel of news.
 *
 * Keys: `task:<id>` a hash; `events:<id>` a list whose entries begin with q, p (and the attempt), d (and the text) or e, so that an
 * event's id is its place; `queue:<priority>` sorted by tag, its members begin with the number of their submission, which decides
 * between equal tags; `priorities` those with a queue; `served` and `shares:<priority>` as queue-order.ts has them, with how many of
 * each organisation stand in `queue:<priority>` in `waiting:<priority>`; `delayed`, `leases` and `ended` sorted by time; `owner:<owner>` sorted by number.
 *
 * States: q queued, d delayed, p processing, c completed, f failed.
 */
const LIBRARY = `
local P, channel = '${TASK_KEYS}', ARGV[2]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local call = redis.call
local function int(number) return string.format('%.0f', number) end
local function task(id) return P .. 'task:' .. id end
local function queue(priority) return P .. 'queue:' .. priority end
local function event(id, entry) call('RPUSH', P .. 'events:' .. id, entry) end
local function news(id, is_queued) call('PUBLISH', channel, (is_queued and 'q' or 'c') .. id) end

local function joined(id)
  local place = call('HMGET', task(id), 'priority', 'tag', 'member', 'organization')
  call('ZADD', queue(place[1]), place[2], place[3])
  call('HINCRBY', P .. 'waiting:' .. place[1], place[4], 1)
  call('SADD', P .. 'priorities', place[1])
end

-- Who has nothing waiting any more begins anew at the turn that was served last.
local function left(priority, member, organization)
  call('ZREM', queue(priority), member)
  if call('HINCRBY', P .. 'waiting:' .. priority, organization, -1) <= 0 then
    call('HDEL', P .. 'waiting:' .. priority, organization)
    call('HDEL', P .. 'shares:' .. priority, organization)
  end
  if call('EXISTS', queue(priority)) == 0 then call('SREM', P .. 'priorities', priority) end
end

local function position(id, state)
  if state ~= 'q' and state ~= 'd' then return 0 end
  local place = call('HMGET', task(id), 'priority', 'tag', 'member')
  local before = 0
  for _, priority in ipairs(call('SMEMBERS', P .. 'priorities')) do
    if tonumber(priority) > tonumber(place[1]) then before = before + call('ZCARD', queue(priority)) end
  end
  if state == 'q' then return before + call('ZRANK', queue(place[1]), place[3]) + 1 end
  before = before + call('ZCOUNT', queue(place[1]), '-inf', '(' .. place[2])
  for _, member in ipairs(call('ZRANGEBYSCORE', queue(place[1]), place[2], place[2])) do
    if member < place[3] then before = before + 1 end
  end
  return before + 1
end

local function read(id)
  local fields = call('HMGET', task(id), ${TASK_FIELDS.map((field) => `'${field}'`).join(', ')})
  if not fields[1] then return false end
  fields[#fields + 1] = position(id, fields[3])
  return fields
end

local function promote()
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'delayed', '-inf', int(now), 'LIMIT', 0, 100)) do
    call('ZREM', P .. 'delayed', id)
    call('HSET', task(id), 'state', 'q')
    joined(id)
  end
end

local function holds(id, attempt)
  local known = call('HMGET', task(id), 'state', 'attempt')
  return known[1] == 'p' and known[2] == attempt
end

-- 'by' is the attempt that ends it; '0': nobody who could repeat it.
local function finish(id, by, state, ttl, fields)
  call('HSET', task(id), 'state', state, 'ended', int(now), 'expires', int(now + ttl), 'by', by, unpack(fields))
  call('HDEL', task(id), 'work')
  call('ZREM', P .. 'leases', id)
  call('ZREM', P .. 'delayed', id)
  call('ZADD', P .. 'ended', int(now + ttl), id)
  event(id, 'e')
  news(id, false)
end

local function put_back(id, by, delay, consumed, most, ttl, failure, message)
  call('ZREM', P .. 'leases', id)
  if consumed and call('HINCRBY', task(id), 'consumed', 1) >= most then
    return finish(id, by, 'f', ttl, { 'failure', failure, 'message', message })
  end
  if delay > 0 then
    call('HSET', task(id), 'state', 'd')
    call('ZADD', P .. 'delayed', int(now + delay), id)
  else
    call('HSET', task(id), 'state', 'q')
    joined(id)
  end
  event(id, 'q')
  news(id, true)
end
`;

const script = (body: string) => redisScript(LIBRARY + body);

/** ARGV: key of the idempotency key, fingerprint. Returns { kind, task }, or nothing. */
export const FIND_BY_KEY = script(`
local known = call('HMGET', ARGV[3], 'id', 'fingerprint')
if not known[1] then return false end
if known[2] ~= ARGV[4] then return { 'conflict' } end
return { 'known', read(known[1]) }`);

/** ARGV: id, owner, organisation, priority, cost, key of the idempotency key or '', fingerprint, work, end user. */
export const SUBMIT = script(`
local id, owner, organization, priority, cost, key, fingerprint = unpack(ARGV, 3, 9)
if key ~= '' then
  local known = call('HMGET', key, 'id', 'fingerprint')
  if known[1] and known[2] ~= fingerprint then return { 'conflict' } end
  if known[1] then return { 'known', read(known[1]) } end
end
if call('EXISTS', task(id)) == 1 then return { 'known', read(id) } end
local seq = call('INCR', P .. 'seq')
local served = tonumber(call('HGET', P .. 'served', priority) or 0)
local last = tonumber(call('HGET', P .. 'shares:' .. priority, organization) or 0)
local tag = int(math.max(served, last) + math.max(1, tonumber(cost)))
call('HSET', P .. 'shares:' .. priority, organization, tag)
local member = string.format('%015d', seq) .. id
call('HSET', task(id), 'id', id, 'owner', owner, 'state', 'q', 'attempt', 0, 'endUser', ARGV[11], 'submitted', int(now),
  'organization', organization, 'priority', priority, 'tag', tag, 'member', member, 'seq', seq, 'work', ARGV[10],
  'consumed', 0, 'deltas', 0, 'by', 0, 'key', key)
if key ~= '' then call('HSET', key, 'id', id, 'fingerprint', fingerprint) end
call('ZADD', P .. 'owner:' .. owner, seq, id)
joined(id)
event(id, 'q')
news(id, true)
return { 'accepted', read(id) }`);

/** ARGV: id. Returns the task, or nothing. */
export const FIND = script('return read(ARGV[3])');

/** ARGV: owner, task before which or '', how many, how many bytes of results. Returns tasks, and whether there are more. */
export const LIST = script(`
local owner, found, bytes = P .. 'owner:' .. ARGV[3], {}, 0
local before = ARGV[4] == '' and '+inf' or call('ZSCORE', owner, ARGV[4])
if not before then return { found, 0 } end
for i, id in ipairs(call('ZREVRANGEBYSCORE', owner, '(' .. before, '-inf', 'LIMIT', 0, ARGV[5] + 1)) do
  if i > tonumber(ARGV[5]) or bytes >= tonumber(ARGV[6]) then return { found, 1 } end
  found[i] = read(id)
  bytes = bytes + #(found[i][${TASK_FIELDS.indexOf('result') + 1}] or '')
end
return { found, 0 }`);

/**
 * ARGV: how many, length of the lease, after how long a task rises, name of the call or '', how many bytes of work. Returns
 * { id, attempt, work } of each. \`claim:<name>\` keeps what a call gave for as long as the leases.
 */
export const CLAIM = script(`
local most, lease, ageing = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local operation = ARGV[6] ~= '' and P .. 'claim:' .. ARGV[6]
local taken, bytes = {}, 0
if operation and call('EXISTS', operation) == 1 then
  for id, attempt in string.gmatch(call('GET', operation), '(%S+) (%S+)') do
    if holds(id, attempt) then
      call('ZADD', P .. 'leases', int(now + lease), id)
      taken[#taken + 1] = { id, tonumber(attempt), call('HGET', task(id), 'work') }
    end
  end
  return taken
end
promote()

local function head()
  local best
  for _, priority in ipairs(call('SMEMBERS', P .. 'priorities')) do
    local first = call('ZRANGE', queue(priority), 0, 0, 'WITHSCORES')
    local id = string.sub(first[1], 16)
    local waited = now - call('HGET', task(id), 'submitted')
    local level, tag = priority + math.max(0, math.floor(waited / ageing)), tonumber(first[2])
    local is_level = best and level == best.level
    -- Of equal ones that with the higher priority: the server names priorities in no order.
    local is_equal = is_level and tag == best.tag and tonumber(priority) > tonumber(best.priority)
    if not best or level > best.level or (is_level and tag < best.tag) or is_equal then
      best = { id = id, member = first[1], priority = priority, level = level, tag = tag }
    end
  end
  return best
end

while #taken < most and bytes < tonumber(ARGV[7]) do
  local first = head()
  if not first then break end
  local id, priority = first.id, first.priority
  local known = call('HMGET', task(id), 'organization', 'work')
  left(priority, first.member, known[1])
  local served = tonumber(call('HGET', P .. 'served', priority) or 0)
  if first.tag > served then call('HSET', P .. 'served', priority, int(first.tag)) end
  local attempt = call('HINCRBY', task(id), 'attempt', 1)
  call('HSET', task(id), 'state', 'p', 'deltas', 0, 'started', int(now))
  call('ZADD', P .. 'leases', int(now + lease), id)
  event(id, 'p' .. attempt)
  news(id, false)
  taken[#taken + 1] = { id, attempt, known[2] }
  bytes = bytes + #known[2]
end
if operation and #taken > 0 then
  local given = {}
  for i, one in ipairs(taken) do given[i] = one[1] .. ' ' .. one[2] end
  call('SET', operation, table.concat(given, ' '), 'PX', int(lease))
end
return taken`);

/** ARGV: length of the lease, then id and attempt of each. Returns the places of those that are lost. */
export const RENEW = script(`
local lost = {}
for i = 4, #ARGV, 2 do
  if holds(ARGV[i], ARGV[i + 1]) then call('ZADD', P .. 'leases', int(now + ARGV[3]), ARGV[i])
  else lost[#lost + 1] = (i - 4) / 2 end
end
return lost`);

/** ARGV: id, attempt, sequence, text. Returns 1; 0: lost. */
export const APPEND = script(`
local id, sequence = ARGV[3], tonumber(ARGV[5])
if not holds(id, ARGV[4]) then return 0 end
local deltas = tonumber(call('HGET', task(id), 'deltas'))
if sequence > deltas then return redis.error_reply('a delta is missing') end
if sequence < deltas then return 1 end
event(id, 'd' .. ARGV[6])
call('HINCRBY', task(id), 'deltas', 1)
news(id, false)
return 1`);

/** ARGV: id, attempt, state, time to live, then fields and their values. Returns 1; 0: lost. */
export const FINISH = script(`
local id, attempt = ARGV[3], ARGV[4]
if not holds(id, attempt) then return call('HGET', task(id), 'by') == attempt and 1 or 0 end
finish(id, attempt, ARGV[5], tonumber(ARGV[6]), { unpack(ARGV, 7) })
return 1`);

/** ARGV: id, attempt, delay, whether consumed, most attempts, time to live, failure, message. Returns 1; 0: lost. */
export const PUT_BACK = script(`
local id, attempt = ARGV[3], ARGV[4]
if holds(id, attempt) then
  put_back(id, attempt, tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10])
  return 1
end
local known = call('HMGET', task(id), 'state', 'attempt', 'by')
local is_waiting = known[1] == 'q' or known[1] == 'd'
return ((is_waiting and known[2] == attempt) or known[3] == attempt) and 1 or 0`);

/** ARGV: id, owner, time to live, failure, message. Returns { kind, task }, or nothing. */
export const CANCEL = script(`
local id = ARGV[3]
local known = call('HMGET', task(id), 'owner', 'state', 'priority', 'member', 'organization')
if not known[1] or known[1] ~= ARGV[4] then return false end
if known[2] == 'c' or known[2] == 'f' then return { 'ended', read(id) } end
if known[2] == 'q' then left(known[3], known[4], known[5]) end
finish(id, 0, 'f', tonumber(ARGV[5]), { 'failure', ARGV[6], 'message', ARGV[7] })
return { 'cancelled', read(id) }`);

/** ARGV: id, after which, how many, how many bytes. Returns entries; nothing: unknown. */
export const EVENTS = script(`
local id, after = ARGV[3], tonumber(ARGV[4])
if call('EXISTS', task(id)) == 0 then return false end
local found, bytes = {}, 0
for _, entry in ipairs(call('LRANGE', P .. 'events:' .. id, after, after + ARGV[5] - 1)) do
  found[#found + 1] = entry
  bytes = bytes + #entry
  if bytes > tonumber(ARGV[6]) then break end
end
return found`);

/** ARGV: most attempts, time to live, failure, message. Returns 1 where there may be more. */
export const SWEEP = script(`
promote()
local lost = call('ZRANGEBYSCORE', P .. 'leases', '-inf', int(now), 'LIMIT', 0, 100)
for _, id in ipairs(lost) do
  put_back(id, 0, 0, true, tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6])
end
local over = call('ZRANGEBYSCORE', P .. 'ended', '-inf', int(now), 'LIMIT', 0, 100)
for _, id in ipairs(over) do
  local known = call('HMGET', task(id), 'owner', 'key')
  call('ZREM', P .. 'ended', id)
  if known[1] then call('ZREM', P .. 'owner:' .. known[1], id) end
  if known[2] and known[2] ~= '' then call('DEL', known[2]) end
  call('UNLINK', task(id), P .. 'events:' .. id)
end
return (#lost == 100 or #over == 100) and 1 or 0`);
