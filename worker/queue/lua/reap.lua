#!lua
-- Removes the consumers of one lane that have been silent for long and hold nothing; check and deletion are one step,
-- so that an entry delivered in between is never lost with its consumer.
-- KEYS  1 lane stream
-- ARGV  1 group  2 min idle ms  3 the one consumer that may be removed, '' for any
-- Returns the number removed

local removed = 0
if redis.call('EXISTS', KEYS[1]) == 0 then return removed end
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #info, 2 do consumer[info[i]] = info[i + 1] end
  if (ARGV[3] == '' or ARGV[3] == consumer.name) and consumer.pending == 0 and consumer.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed = removed + 1
  end
end
return removed
