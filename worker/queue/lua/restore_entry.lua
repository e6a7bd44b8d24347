#!lua flags=allow-oom
-- Jobs whose stream entry has vanished (the stream was deleted, trimmed, or its group moved) → queued again. Anything else
-- is left alone: what waits in its lane, and what a worker holds.
-- KEYS  1 lane stream  2 recent zset  3 waiting zset  4… job hashes
-- ARGV  1 group  2 lane  3… job ids
-- Returns for each job 'queued' | 'kept' | 'gone' (it neither waits nor runs)
--@include _common.lua
--@include _entry.lua

local lane, recent, waiting = KEYS[1], KEYS[2], KEYS[3]
check_type(lane, 'stream')
check_type(recent, 'zset')
check_type(waiting, 'zset')
local last_read = read_up_to(lane, ARGV[1])

local function restore(job, job_id)
  local held = redis.pcall('HMGET', job, 'state', 'lane', 'entry', 'kind') -- an error has no lane: what is no job stops no other
  if held[2] ~= ARGV[2] or (held[1] ~= 'queued' and held[1] ~= 'running') then
    redis.call('ZREM', recent, job_id)
    return 'gone'
  end
  if not is_entry_lost(lane, waiting, ARGV[1], last_read, job_id, ARGV[2], held[3] or '') then return 'kept' end
  local entry = redis.call('XADD', lane, '*', 'id', job_id, 'kind', held[4] or '')
  redis.call('HSET', job, 'state', 'queued', 'entry', entry)
  redis.call('ZADD', recent, string.match(entry, '^%d+'), job_id)
  return 'queued'
end

local answers = {}
for i = 4, #KEYS do answers[#answers + 1] = restore(KEYS[i], ARGV[i - 1]) end
return answers
