#!lua flags=allow-oom
-- queued | scheduled → cancelled at once; running → told by its worker's next renewal; final → unchanged.
-- The stream entry of a queued job stays until a worker claims and drops it: XDEL here would break the lag.
-- KEYS  1 job hash  2 scheduled zset  3 result string  4 events stream  5 secret hash  6 batch hash (only with one)
-- ARGV  1 job id  2 result JSON  3 event JSON  4 channel  5 result ttl s  6 job ttl s  7 batch id or ''
-- Returns the state after: 'cancelled' | 'running' | 'succeeded' | 'dead' | 'unknown' | 'moved' (its batch is another)
--@include _common.lua
--@include _events.lua

local job, scheduled, result, events, secret, batch = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
check_type(job, 'hash')
check_type(scheduled, 'zset')
check_type(events, 'stream')
if batch then check_type(batch, 'hash') end

local held = redis.call('HMGET', job, 'state', 'batch')
if not held[1] then return 'unknown' end
if is_final(held[1]) then return held[1] end
if (held[2] or '') ~= ARGV[7] then return 'moved' end

local now = now_ms()
if held[1] == 'running' then
  redis.call('HSETNX', job, 'cancel_ms', ms(now))
  return 'running'
end
redis.call('ZREM', scheduled, ARGV[1])
redis.call('HSET', job, 'state', 'cancelled', 'finished_ms', ms(now))
redis.call('EXPIRE', job, ARGV[6])
redis.call('SET', result, ARGV[2], 'EX', ARGV[5])
redis.call('DEL', secret)
local line = stamped(ARGV[3], now)
add_event(events, line)
local batch_line = batch and count_in_batch(batch, ARGV[7], 'cancelled', now, ARGV[6])
if batch_line then add_event(events, batch_line) end
redis.call('PUBLISH', ARGV[4], line)
if batch_line then redis.call('PUBLISH', ARGV[4], batch_line) end
return 'cancelled'
