#!lua flags=allow-oom
-- running → queued, with the attempt returned if one was counted: adds the job again and deletes the old entry, in one
-- step.
-- KEYS  1 lane stream  2 job hash
-- ARGV  1 group  2 consumer  3 entry id  4 fence  5 job id  6 kind  7 '1' = return the attempt
-- Returns 'committed' | 'already' | 'lost'
--@include _common.lua
--@include _lane.lua
--@include _delivery.lua

local lane, job = KEYS[1], KEYS[2]
check_type(lane, 'stream')
check_type(job, 'hash')
local held = standing(lane, job, ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'queued')
if held ~= 'ok' then return held end

local entry = redis.call('XADD', lane, '*', 'id', ARGV[5], 'kind', ARGV[6])
drop_entry(lane, ARGV[1], ARGV[3])
redis.call('HSET', job, 'state', 'queued', 'entry', entry)
note_batched(lane)
if ARGV[7] == '1' then redis.call('HINCRBY', job, 'attempt', -1) end
redis.call('HDEL', job, 'worker', 'progress')
return 'committed'
