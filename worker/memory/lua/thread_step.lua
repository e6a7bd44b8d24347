#!lua
-- Makes a step the newest one of its conversation, if the question that made it still holds the conversation.
-- KEYS  1 thread hash  2 string: key of the newest step  3 string: key that the saver wrote instead, to be deleted
--       4 the question's job hash, optional: gets the step's key in `step`, which finish.lua requires
-- ARGV  1 token  2 key of the step  3 TTL, s
-- Returns 'kept' | 'lost'
--@include _common.lua

local thread, newest, aside = KEYS[1], KEYS[2], KEYS[3]
check_type(thread, 'hash')
if KEYS[4] then check_type(KEYS[4], 'hash') end
redis.call('DEL', aside)
if redis.call('HGET', thread, 'token') ~= ARGV[1] then return 'lost' end
redis.call('SET', newest, ARGV[2], 'EX', ARGV[3])
if KEYS[4] and redis.call('EXISTS', KEYS[4]) == 1 then redis.call('HSET', KEYS[4], 'step', ARGV[2]) end
return 'kept'
