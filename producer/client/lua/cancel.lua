#!lua flags=allow-oom
-- queued | scheduled → cancelled at once; running → marked, and cancelled by its worker; final → unchanged. A waiting
-- assessment is marked and due at once: its worker must write its end into the scan's result. A queued job's stream
-- entry is deleted, so that it does not fill the backlog; a claimed one is dropped by its start.
-- KEYS  1 scheduled zset of its lane  2 lane stream  3 waiting zset  4… as in _end.lua
-- ARGV  1 job id  2… as in _end.lua  8 lane  9 group
-- Returns the state after: 'cancelled' | 'running' | 'succeeded' | 'dead' | 'unknown' | 'moved' (its batch or lane has
--       changed)
--@include _common.lua
--@include _events.lua
--@include _payload.lua
--@include _end.lua
--@include _lane.lua

local scheduled, lane, waiting, job = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check_type(scheduled, 'zset')
check_type(lane, 'stream')
check_type(waiting, 'zset')
check_end(4)

local held = redis.call('HMGET', job, 'state', 'batch', 'lane', 'entry')
if not held[1] then return 'unknown' end
if is_final(held[1]) then return held[1] end
if (held[2] or '') ~= ARGV[7] or (held[3] or '') ~= ARGV[8] then return 'moved' end

local now = now_ms()
if held[1] == 'running' or held[3] == 'assess' then
  redis.call('HSETNX', job, 'cancel_ms', ms(now))
  redis.call('ZADD', scheduled, 'XX', ms(now), ARGV[1])
  return 'running'
end
redis.call('ZREM', scheduled, ARGV[1])
local entry = held[4] or ''
if string.match(entry, '^%d+-%d+$') then
  local pending = redis.pcall('XPENDING', lane, ARGV[9], entry, entry, 1) -- an error: there is no group yet
  local row = redis.call('XRANGE', lane, entry, entry)[1]
  local is_own = not row or (row[2][1] == 'id' and row[2][2] == ARGV[1]) -- in a new stream it may be another job's
  if is_own and (pending.err or #pending == 0) then
    redis.call('ZREM', waiting, entry)
    delete_entries(lane, entry)
  end
end
end_job(4, 2, 'cancelled', now)
return 'cancelled'
