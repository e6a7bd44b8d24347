#!lua flags=allow-oom
-- free | held by this job → held, for a question of a conversation; otherwise it waits, in the order of submission. A
-- later delivery of the holding job takes the hold from the earlier one.
-- KEYS  1 thread hash: token, job and until_ms of the holder; w:<job id> of a waiter: submitted ms ':' last heard ms
-- ARGV  1 token  2 job id  3 submitted ms  4 lease ms  5 ms after which a silent waiter loses its turn
-- Returns {'held'} | {'busy', id of the job that holds it or is first}
--@include _common.lua

local thread, token, job, submitted = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local lease_ms, silence_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
check_type(thread, 'hash')

local now = now_ms()
local held = redis.call('HMGET', thread, 'job', 'until_ms')
local first, first_at
if held[1] and held[1] ~= job and tonumber(held[2]) > now then
  first = held[1]
  if tonumber(held[2]) > now + lease_ms then -- Redis's clock was set back: the lease counts from now
    redis.call('HSET', thread, 'until_ms', ms(now + lease_ms))
  end
else
  local fields = redis.call('HGETALL', thread)
  for i = 1, #fields, 2 do
    local waiter = string.match(fields[i], '^w:(.+)$')
    if waiter and waiter ~= job then
      local at, heard = string.match(fields[i + 1], '^(%d+):(%d+)$')
      at, heard = tonumber(at), tonumber(heard)
      if heard > now then -- likewise: its silence counts from now
        redis.call('HSET', thread, fields[i], ms(at) .. ':' .. ms(now))
      end
      if now - heard > silence_ms then
        redis.call('HDEL', thread, fields[i])
      elseif (at < submitted or (at == submitted and waiter < job)) and (not first or at < first_at) then
        first, first_at = waiter, at
      end
    end
  end
end
if first then
  redis.call('HSET', thread, 'w:' .. job, ms(submitted) .. ':' .. ms(now))
  redis.call('PEXPIRE', thread, lease_ms + silence_ms)
  return { 'busy', first }
end
redis.call('HDEL', thread, 'w:' .. job)
redis.call('HSET', thread, 'token', token, 'job', job, 'until_ms', ms(now + lease_ms))
redis.call('PEXPIRE', thread, lease_ms + silence_ms)
return { 'held' }
