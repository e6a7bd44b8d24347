#!lua
-- Claims entries for the free slots: batch's turns first, then interactive, then batch with the remaining slots. Within
-- a lane the batches take turns (start-time fair queueing, decision 0021); jobs without a batch are one more flow.
-- Without allow-oom on purpose: claiming pauses while Redis is full.
-- KEYS  1 interactive stream  2 batch stream  3 and 4 their waiting zsets  5 and 6 their turns hashes
-- ARGV  1 group  2 consumer  3 free slots  4 how many of them interactive may use  5 how many batch  6 turns due to
--       batch
--       7 prefix of job hashes' keys  8 prefix of batch hashes' keys
--       then, to start the plain jobs among them (_start.lua): tries of a function, for each function with its own
--       tries: kind, tries
-- Returns {interactive entries, batch entries}, each {{id, {field, value, …}, start.lua's reply if it was started}, …}
-- waiting: entry id → turn, of entries that the group has passed without delivering them to a worker.
-- turns: now, the turn served last; last, the latest turn of a job without a batch; batched, set while an unread entry
-- may belong to a batch: without it, nothing needs ordering. A batch's turn is in its own hash.
--@include _common.lua
--@include _lane.lua
--@include _delivery.lua
--@include _start.lua

local TAKEN_IN = 4000 -- entries ordered in one call, in some 10 ms; each entry once
local NEVER_GIVEN = '9007199254740991' -- min-idle ms: XCLAIM … FORCE then returns only entries that are not pending

local function read(count, ...)
  local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', count, ...)
  return reply and reply[1] and reply[1][2] or {}
end

local function batch_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'id' then
      local batch = redis.pcall('HGET', ARGV[7] .. fields[i + 1], 'batch')
      return type(batch) == 'string' and batch or ''
    end
  end
  return ''
end

-- The latest turn of a flow, never beyond the waiting entries, even after restores, deletions and changes by hand.
local function latest(lane, batch, now, size)
  local given = lane.last
  if batch ~= '' then given = redis.call('HGET', ARGV[8] .. batch, lane.field) end
  return math.max(now, math.min(tonumber(given or 0) or 0, now + size))
end

-- Gives a turn to each unread entry: the one after the flow's latest, or after the one served now.
local function take_in(lane)
  local rows = read(TAKEN_IN, 'NOACK', 'STREAMS', lane.stream, '>')
  if #rows < TAKEN_IN then redis.call('HDEL', lane.turns, 'batched') end
  if #rows == 0 then return end
  local size, flows, added = redis.call('ZCARD', lane.waiting), {}, {}
  for i, row in ipairs(rows) do
    local batch = batch_of(row[2])
    if not flows[batch] and batch ~= '' then
      local total = redis.pcall('HGET', ARGV[8] .. batch, 'total')
      if type(total) ~= 'string' then batch = '' end -- an expired batch is not created again
    end
    flows[batch] = (flows[batch] or latest(lane, batch, lane.now, size)) + 1
    added[#added + 1] = flows[batch]
    added[#added + 1] = row[1]
    if #added == 2000 or i == #rows then
      redis.call('ZADD', lane.waiting, unpack(added))
      added = {}
    end
  end
  for batch, turn in pairs(flows) do
    if batch == '' then
      lane.last = turn
      redis.call('HSET', lane.turns, 'last', turn)
    else
      redis.call('HSET', ARGV[8] .. batch, lane.field, turn)
    end
  end
end

local function take_turns(lane, count)
  local rows = {}
  while #rows < count do
    local popped, ids = redis.call('ZPOPMIN', lane.waiting, math.min(count - #rows, 2000)), {} -- unpack has a limit
    if #popped == 0 then break end
    for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
    lane.now = math.max(lane.now, tonumber(popped[#popped]))
    for _, option in ipairs({ 'FORCE', 'RETRYCOUNT', '1' }) do ids[#ids + 1] = option end
    for _, row in ipairs(redis.call('XCLAIM', lane.stream, ARGV[1], ARGV[2], NEVER_GIVEN, unpack(ids))) do
      rows[#rows + 1] = row
    end
  end
  redis.call('HSET', lane.turns, 'now', lane.now)
  return rows
end

local function take(lane, count)
  if count <= 0 then return {} end
  local waits = redis.call('ZCARD', lane.waiting) > 0
  local known = redis.pcall('HMGET', lane.turns, 'now', 'last', 'batched')
  if known.err and waits then error(known) end
  local rows = waits and {} or read(count, 'STREAMS', lane.stream, '>')
  if not waits and not known[3] then return rows end -- also if the key has another type: without it there is no order
  if not waits and #rows < count then
    redis.call('HDEL', lane.turns, 'batched')
    return rows
  end
  lane.now, lane.last = tonumber(known[1] or 0) or 0, known[2]
  take_in(lane)
  return waits and take_turns(lane, count) or rows
end

local function lane_of(i, name)
  return { stream = KEYS[i], waiting = KEYS[i + 2], turns = KEYS[i + 4], field = 'turn:' .. name }
end

local of_interactive, of_batch = lane_of(1, 'interactive'), lane_of(2, 'batch')
local places, for_interactive, for_batch = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local batch = take(of_batch, math.min(tonumber(ARGV[6]), for_batch))
local interactive = take(of_interactive, math.min(places - #batch, for_interactive))
local more = take(of_batch, math.min(places - #batch - #interactive, for_batch - #batch))
for _, entry in ipairs(more) do batch[#batch + 1] = entry end
for _, rows in ipairs(ARGV[9] and { interactive, batch } or {}) do
  for _, row in ipairs(rows) do
    row[3] = row[2] and start_plain(ARGV[2], ARGV[7], row[1], row[2], 9)
  end
end
return { interactive, batch }
