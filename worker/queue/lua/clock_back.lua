#!lua flags=allow-oom
-- scheduled → scheduled, due no later than its delay from now: for a job that was scheduled before Redis's clock was set
-- back. Safe to call twice.
-- KEYS  1 scheduled zset  2 job hash  3 only if it waits for something: its zset (`waits_in` in the hash)
-- ARGV  1 job id
-- Returns '1' if this call changed its due time
--@include _common.lua

local scheduled, job, waiting = KEYS[1], KEYS[2], KEYS[3]
check_type(scheduled, 'zset')
check_type(job, 'hash')
if waiting then check_type(waiting, 'zset') end
local due = redis.call('ZSCORE', scheduled, ARGV[1])
local held = redis.call('HMGET', job, 'state', 'delay_ms', 'waits_in')
local delay_ms = tonumber(held[2] or '')
if not due or held[1] ~= 'scheduled' or not delay_ms or (held[3] or '') ~= (waiting or '') then return 0 end
local latest = now_ms() + delay_ms
if tonumber(due) <= latest then return 0 end
redis.call('ZADD', scheduled, ms(latest), ARGV[1])
-- The same time in both: otherwise wake.lua and control.lua take it for another job of this id.
if waiting and tonumber(redis.call('ZSCORE', waiting, ARGV[1]) or '') == tonumber(due) then
  redis.call('ZADD', waiting, ms(latest), ARGV[1])
end
return 1
