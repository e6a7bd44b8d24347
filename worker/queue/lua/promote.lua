#!lua
-- scheduled → queued, for one job that is due.
-- KEYS  1 scheduled zset  2 job hash  3 lane stream
-- ARGV  1 job id  2 lane
-- Returns 'queued' | 'early' | 'gone' (no longer scheduled; a leftover is removed) | 'moved' (it is in another lane)
--@include _common.lua
--@include _lane.lua

local scheduled, job, lane = KEYS[1], KEYS[2], KEYS[3]
check_type(scheduled, 'zset')
check_type(job, 'hash')
check_type(lane, 'stream')
local due = redis.call('ZSCORE', scheduled, ARGV[1])
if not due then return 'gone' end
if tonumber(due) > now_ms() then return 'early' end
local held = redis.call('HMGET', job, 'state', 'lane', 'kind')
if held[1] ~= 'scheduled' then
  redis.call('ZREM', scheduled, ARGV[1])
  return 'gone'
end
if held[2] ~= ARGV[2] then return 'moved' end

local entry = redis.call('XADD', lane, '*', 'id', ARGV[1], 'kind', held[3] or '')
redis.call('HSET', job, 'state', 'queued', 'entry', entry)
note_batched(lane)
redis.call('ZREM', scheduled, ARGV[1])
return 'queued'
