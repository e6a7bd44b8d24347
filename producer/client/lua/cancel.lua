#!lua flags=allow-oom
-- queued | scheduled → cancelled at once; running → marked, and cancelled by its worker; final → unchanged. An assessment
-- is marked and due at once wherever it waits: its end is written into a scan's result, which its worker does.
-- The stream entry of a queued job stays until a worker claims and drops it: XDEL here would break the lag.
-- KEYS  1 scheduled zset  2… as in _end.lua
-- ARGV  1 job id  2… as in _end.lua
-- Returns the state after: 'cancelled' | 'running' | 'succeeded' | 'dead' | 'unknown' | 'moved' (its batch is another)
--@include _common.lua
--@include _events.lua
--@include _end.lua

local scheduled, job = KEYS[1], KEYS[2]
check_type(scheduled, 'zset')
check_end(2)

local held = redis.call('HMGET', job, 'state', 'batch', 'lane')
if not held[1] then return 'unknown' end
if is_final(held[1]) then return held[1] end
if (held[2] or '') ~= ARGV[7] then return 'moved' end

local now = now_ms()
if held[1] == 'running' or held[3] == 'assess' then
  redis.call('HSETNX', job, 'cancel_ms', ms(now))
  redis.call('ZADD', scheduled, 'XX', ms(now), ARGV[1])
  return 'running'
end
redis.call('ZREM', scheduled, ARGV[1])
end_job(2, 2, 'cancelled', now)
return 'cancelled'
