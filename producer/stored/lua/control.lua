#!lua
-- Pauses something, drains a worker or limits a host, or lifts that. Safe to call twice: something paused twice is
-- resumed by one call.
-- KEYS  1 hash of what is paused  2 events stream  3 zset of the jobs that wait for it  4 and 5 the scheduled zsets
-- ARGV  1 field  2 JSON to keep, or '' to lift it  3 event JSON  4 channel  5 max jobs woken by one call
--       6 '1' = replace an existing value
-- Returns {'1' if this call changed it, number of jobs that may still wait to be woken}
--@include _common.lua
--@include _events.lua

local controls, events, parked = KEYS[1], KEYS[2], KEYS[3]
check_type(controls, 'hash')
check_type(events, 'stream')
for i = 3, 5 do check_type(KEYS[i], 'zset') end
check_room(events)
local now, changed = now_ms(), 0
if ARGV[2] ~= '' then
  changed = 1
  if ARGV[6] == '1' then redis.call('HSET', controls, ARGV[1], ARGV[2])
  else changed = redis.call('HSETNX', controls, ARGV[1], ARGV[2]) end
else
  changed = redis.call('HDEL', controls, ARGV[1])
  local popped = redis.call('ZPOPMIN', parked, ARGV[5])
  for i = 1, #popped, 2 do
    for s = 4, 5 do
      -- If its time differs, the job has run since and waits for something else.
      local due = redis.call('ZSCORE', KEYS[s], popped[i])
      if due and tonumber(due) == tonumber(popped[i + 1]) then redis.call('ZADD', KEYS[s], 'LT', ms(now), popped[i]) end
    end
  end
end
if changed == 1 then
  local line = stamped(ARGV[3], now)
  add_event(events, line)
  redis.call('PUBLISH', ARGV[4], line)
end
return {changed, ARGV[2] == '' and redis.call('ZCARD', parked) or 0}
