#!lua flags=allow-oom
-- Jobs whose stream entry has vanished (the stream was deleted or trimmed, its ids restarted) → queued again. Jobs that
-- wait in their lane or are held by a worker are not touched.
-- KEYS  1 lane stream  2… job hashes
-- ARGV  1 group  2 lane  3… job ids
-- Returns for each job 'queued' | 'kept' | 'held' (its entry has vanished, and a worker holds it)
--@include _common.lua
--@include _lane.lua

local lane = KEYS[1]
check_type(lane, 'stream')

-- The job id in an entry; an entry without one has an id derived from its own.
local function named_by(row)
  for i = 1, #row[2], 2 do
    if row[2][i] == 'id' then return row[2][i + 1] end
  end
  return ARGV[2] .. '-' .. row[1]
end

local function restore(job, job_id)
  local held = redis.pcall('HMGET', job, 'state', 'lane', 'entry', 'kind') -- an error has no lane: other jobs go on
  if held[2] ~= ARGV[2] or (held[1] ~= 'queued' and held[1] ~= 'running') then return 'kept' end
  if string.match(held[3] or '', '^%d+-%d+$') then
    local row = redis.call('XRANGE', lane, held[3], held[3])[1]
    if row and named_by(row) == job_id then return 'kept' end
    local pending = redis.pcall('XPENDING', lane, ARGV[1], held[3], held[3], 1) -- an error means that there is no group
    if not row and not pending.err and #pending > 0 then return 'held' end
  end
  local entry = redis.call('XADD', lane, '*', 'id', job_id, 'kind', held[4] or '')
  redis.call('HSET', job, 'state', 'queued', 'entry', entry)
  note_batched(lane)
  return 'queued'
end

local answers = {}
for i = 2, #KEYS do answers[#answers + 1] = restore(KEYS[i], ARGV[i + 1]) end
return answers
