#!lua flags=allow-oom
-- A job whose stream entry has vanished (somebody deleted the stream) → queued again. Anything else is left alone.
-- KEYS  1 lane stream  2 job hash
-- ARGV  1 job id  2 lane
-- Returns 'queued' | 'kept'
--@include _common.lua

local lane, job = KEYS[1], KEYS[2]
check_type(lane, 'stream')
local held = redis.pcall('HMGET', job, 'state', 'lane', 'entry', 'kind') -- an error has no lane: what is no job stops no other
if held[2] ~= ARGV[2] or (held[1] ~= 'queued' and held[1] ~= 'running') then return 'kept' end
local there = held[3] and held[3] ~= '' and redis.call('XRANGE', lane, held[3], held[3])[1]
if there then -- ids begin anew with a stream: within one ms another job's entry may have this one's
  local named = ARGV[2] .. '-' .. held[3] -- the job of an entry that names none
  for i = 1, #there[2], 2 do
    if there[2][i] == 'id' then named = there[2][i + 1] end
  end
  if named == ARGV[1] then return 'kept' end
end
local entry = redis.call('XADD', lane, '*', 'id', ARGV[1], 'kind', held[4] or '')
redis.call('HSET', job, 'state', 'queued', 'entry', entry)
return 'queued'
