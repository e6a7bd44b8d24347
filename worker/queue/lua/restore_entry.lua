#!lua flags=allow-oom
-- A job whose stream entry has vanished (the stream was deleted, trimmed, or its group moved) → queued again. Anything else
-- is left alone: what waits in its lane, and what a worker holds.
-- KEYS  1 lane stream  2 job hash  3 recent zset
-- ARGV  1 job id  2 lane  3 group
-- Returns 'queued' | 'kept' | 'gone' (it neither waits nor runs)
--@include _common.lua
--@include _entry.lua

local lane, job, recent = KEYS[1], KEYS[2], KEYS[3]
check_type(lane, 'stream')
check_type(recent, 'zset')
local held = redis.pcall('HMGET', job, 'state', 'lane', 'entry', 'kind') -- an error has no lane: what is no job stops no other
if held[2] ~= ARGV[2] or (held[1] ~= 'queued' and held[1] ~= 'running') then
  redis.call('ZREM', recent, ARGV[1])
  return 'gone'
end
if not is_entry_lost(lane, ARGV[3], read_up_to(lane, ARGV[3]), ARGV[1], ARGV[2], held[3] or '') then return 'kept' end
local entry = redis.call('XADD', lane, '*', 'id', ARGV[1], 'kind', held[4] or '')
redis.call('HSET', job, 'state', 'queued', 'entry', entry)
redis.call('ZADD', recent, string.match(entry, '^%d+'), ARGV[1])
return 'queued'
