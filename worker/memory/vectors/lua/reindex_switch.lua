#!lua
-- the coming generation → the active one, and the active one → retired, in one step for all readers.
-- KEYS  1 record hash
-- ARGV  1 the coming generation  2 the model active until now
-- Returns 'switched' | 'already' | 'moved' (another command has cancelled it)
--@include _common.lua

check_type(KEYS[1], 'hash')
local held = redis.call('HMGET', KEYS[1], 'active', 'coming')
if held[1] == ARGV[1] then return 'already' end
if held[2] ~= ARGV[1] then return 'moved' end
redis.call('HSET', KEYS[1], 'active', ARGV[1], 'retired', held[1], 'previous', ARGV[2])
redis.call('HDEL', KEYS[1], 'coming')
return 'switched'
