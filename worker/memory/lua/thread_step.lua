#!lua
-- Makes a step the newest one of its conversation, if the question that made it still holds the conversation and made
-- it from the newest one: what it read may have come from a primary that was replaced. Safe to call twice.
-- KEYS  1 thread hash  2 string: key of the newest step  3 string: key that the saver wrote instead, to be deleted
--       4 the step  5 the question's job hash, optional: gets the step's key in `step`, which finish.lua requires
-- ARGV  1 token  2 TTL, s  3 the step that it was made from, '' for a conversation's first
-- Returns 'kept' | 'lost' (also if the step does not exist, or only in part: a failover has lost it)
--@include _common.lua
--@include _step.lua

local thread, newest, aside, step, job = unpack(KEYS)
check_type(thread, 'hash')
check_type(newest, 'string')
if job then check_type(job, 'hash') end
redis.call('DEL', aside)
if redis.call('HGET', thread, 'token') ~= ARGV[1] or not is_step(step) then return 'lost' end
local was = redis.call('GET', newest)
if was and was ~= ARGV[3] and was ~= step and is_step(was) then return 'lost' end
redis.call('SET', newest, step, 'EX', ARGV[2])
if job and redis.call('EXISTS', job) == 1 then redis.call('HSET', job, 'step', step) end
return 'kept'
