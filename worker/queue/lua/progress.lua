#!lua
-- running → running, with a note of its progress. Refused for a delivery that no longer holds the job.
-- KEYS  1 job hash
-- ARGV  1 fence  2 progress text
-- Returns 'kept' | 'lost'

local held = redis.call('HMGET', KEYS[1], 'fence', 'state')
if held[1] ~= ARGV[1] or held[2] ~= 'running' then return 'lost' end
redis.call('HSET', KEYS[1], 'progress', ARGV[2])
return 'kept'
