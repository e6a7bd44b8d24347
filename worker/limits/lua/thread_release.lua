#!lua flags=allow-oom
-- held → free, if this holder still has it. Waiters keep their order.
-- KEYS  1 thread hash
-- ARGV  1 token
-- Returns 'released' | 'lost'
--@include _common.lua

local thread = KEYS[1]
check_type(thread, 'hash')
if redis.call('HGET', thread, 'token') ~= ARGV[1] then return 'lost' end
redis.call('HDEL', thread, 'token', 'job', 'until_ms')
return 'released'
