#!lua flags=allow-oom
-- held → held for another lease, if this holder still has it.
-- KEYS  1 thread hash
-- ARGV  1 token  2 lease ms  3 ms after which a silent waiter loses its turn
-- Returns 'held' | 'lost'
--@include _common.lua

local thread = KEYS[1]
check_type(thread, 'hash')
if redis.call('HGET', thread, 'token') ~= ARGV[1] then return 'lost' end
redis.call('HSET', thread, 'until_ms', ms(now_ms() + tonumber(ARGV[2])))
redis.call('PEXPIRE', thread, tonumber(ARGV[2]) + tonumber(ARGV[3]))
return 'held'
