#!lua flags=allow-oom
-- free | held by this job → held, for a question of a conversation; otherwise it waits, in the order of submission. A
-- later delivery of the holding job takes the hold from the earlier one.
-- KEYS  1 thread hash: token, job and until_ms of the holder; w:<job id> of a waiter: submitted ms '-' place among those
--       of that ms ':' last heard ms
--       2 job hash of the question: its first entry has that place
-- ARGV  1 token  2 job id  3 submitted ms  4 lease ms  5 ms after which a silent waiter loses its turn
-- Returns {'held'} | {'busy', id of the job that holds it or is first}
--@include _common.lua

local thread, token, job, submitted = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local lease_ms, silence_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
check_type(thread, 'hash')
check_type(KEYS[2], 'hash')

local function turn_of(waiter, value)
  local at, place, heard = string.match(value, '^(%d+)%-(%d+):(%d+)$')
  return at and { job = waiter, at = tonumber(at), place = tonumber(place), heard = tonumber(heard) }
end

local function is_before(one, other)
  if one.at ~= other.at then return one.at < other.at end
  if one.place ~= other.place then return one.place < other.place end
  return one.job < other.job
end

-- The entry of a retry has another time; by then the question has its field.
local own = turn_of(job, redis.call('HGET', thread, 'w:' .. job) or '')
if not own or own.at ~= submitted then
  local at, place = string.match(redis.call('HGET', KEYS[2], 'entry') or '', '^(%d+)%-(%d+)$')
  own = { job = job, at = submitted, place = tonumber(at) == submitted and tonumber(place) or 0 }
end

local now = now_ms()
local function note(turn)
  redis.call('HSET', thread, 'w:' .. turn.job, ms(turn.at) .. '-' .. ms(turn.place) .. ':' .. ms(now))
end

local held = redis.call('HMGET', thread, 'job', 'until_ms')
local first
if held[1] and held[1] ~= job and tonumber(held[2]) > now then
  first = { job = held[1] }
  if tonumber(held[2]) > now + lease_ms then -- Redis's clock was set back: the lease counts from now
    redis.call('HSET', thread, 'until_ms', ms(now + lease_ms))
  end
else
  local fields = redis.call('HGETALL', thread)
  for i = 1, #fields, 2 do
    local waiter = string.match(fields[i], '^w:(.+)$')
    if waiter and waiter ~= job then
      local turn = turn_of(waiter, fields[i + 1])
      if not turn or now - turn.heard > silence_ms then
        redis.call('HDEL', thread, fields[i])
      else
        if turn.heard > now then note(turn) end -- likewise: its silence counts from now
        if is_before(turn, own) and (not first or is_before(turn, first)) then first = turn end
      end
    end
  end
end
if first then
  note(own)
  redis.call('PEXPIRE', thread, lease_ms + silence_ms)
  return { 'busy', first.job }
end
redis.call('HDEL', thread, 'w:' .. job)
redis.call('HSET', thread, 'token', token, 'job', job, 'until_ms', ms(now + lease_ms))
redis.call('PEXPIRE', thread, lease_ms + silence_ms)
return { 'held' }
