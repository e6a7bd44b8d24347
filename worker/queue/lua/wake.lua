#!lua
-- scheduled → scheduled, due at once: jobs that wait for a worker with a function for their kind (retry.lua), for a
-- worker that has it and free slots. Those that have waited longest come first. promote.lua queues them.
-- KEYS  1 scheduled zset  2… the zset of each kind that the worker knows
-- ARGV  1 its number of free slots
-- Returns the number made due. A job scheduled for another time than in the kind's set has ended since, and its id may
--       be another job's: it is only dropped from the set.
--@include _common.lua

if redis.call('EXISTS', unpack(KEYS, 2)) == 0 then return 0 end
for i = 1, #KEYS do check_type(KEYS[i], 'zset') end
local now, room, woken = ms(now_ms()), tonumber(ARGV[1]), 0
for i = 2, #KEYS do
  while woken < room do
    local popped = redis.call('ZPOPMIN', KEYS[i])
    if #popped == 0 then break end
    local due = redis.call('ZSCORE', KEYS[1], popped[1])
    if due and tonumber(due) == tonumber(popped[2]) then
      redis.call('ZADD', KEYS[1], 'LT', now, popped[1])
      woken = woken + 1
    end
  end
end
return woken
