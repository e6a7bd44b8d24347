#!lua flags=allow-oom
-- Jobs whose stream entry has vanished (the stream was deleted or trimmed, its ids restarted) → queued again. Jobs that
-- wait in their lane or are held by a worker are not touched.
-- KEYS  lane streams, then job hashes
-- ARGV  1 group  2 number of lanes  then the lanes, then the job ids
-- Returns for each job {} for one of another lane, that has ended or is scheduled, else {number of its lane, 'queued' |
--         'kept' | 'held' (its entry has vanished, and a worker holds it)}
--@include _common.lua
--@include _lane.lua

local LANES = tonumber(ARGV[2])
local numbers = {}
for i = 1, LANES do
  check_type(KEYS[i], 'stream')
  numbers[ARGV[2 + i]] = i
end

-- The job id in an entry; an entry without one has an id derived from its own.
local function named_by(row, lane_name)
  for i = 1, #row[2], 2 do
    if row[2][i] == 'id' then return row[2][i + 1] end
  end
  return lane_name .. '-' .. row[1]
end

local function restore(job, job_id)
  local held = redis.pcall('HMGET', job, 'state', 'lane', 'entry', 'kind') -- an error has no lane: other jobs go on
  local number = numbers[held[2]]
  if not number or (held[1] ~= 'queued' and held[1] ~= 'running') then return {} end
  local lane = KEYS[number]
  if string.match(held[3] or '', '^%d+-%d+$') then
    local row = redis.call('XRANGE', lane, held[3], held[3])[1]
    if row and named_by(row, held[2]) == job_id then return { number, 'kept' } end
    local pending = redis.pcall('XPENDING', lane, ARGV[1], held[3], held[3], 1) -- an error means that there is no group
    if not row and not pending.err and #pending > 0 then return { number, 'held' } end
  end
  local entry = redis.call('XADD', lane, '*', 'id', job_id, 'kind', held[4] or '')
  redis.call('HSET', job, 'state', 'queued', 'entry', entry)
  note_batched(lane)
  return { number, 'queued' }
end

local answers = {}
for i = LANES + 1, #KEYS do answers[#answers + 1] = restore(KEYS[i], ARGV[2 + i]) end
return answers
