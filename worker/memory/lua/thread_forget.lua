#!lua flags=allow-oom
-- Deletes older steps of a conversation, if the running question still holds it and its newest step is the one given:
-- else another question has gone on, or a failover has lost that step or its name, and the older ones are what is left.
-- KEYS  1 thread hash  2 string: key of the newest step  3 the newest step, then the keys to delete
-- ARGV  1 token
-- Returns 'gone' | 'lost'
--@include _common.lua
--@include _step.lua

local thread, newest, step = KEYS[1], KEYS[2], KEYS[3]
check_type(thread, 'hash')
check_type(newest, 'string')
if redis.call('HGET', thread, 'token') ~= ARGV[1] then return 'lost' end
if redis.call('GET', newest) ~= step or not is_step(step) then return 'lost' end
for i = 4, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 'gone'
