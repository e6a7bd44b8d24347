#!lua flags=allow-oom
-- Reclaims entries that nobody renewed for long: pending for another consumer → pending for this one.
-- Entries that were deleted meanwhile leave the pending list by this. Idle times are by Redis' clock: where it has jumped
-- they say nothing, and each entry is renewed for whoever holds it, so that the holders that live can renew it in time.
-- KEYS  1 lane stream
-- ARGV  1 group  2 consumer  3 least idle ms  4 cursor  5 at most how many  6 Redis' time that the caller expects, in ms,
--       0 = it cannot know  7 by how much it may be off, in ms
-- Returns {next cursor, {{id, {field, value, …}}, …}, Redis' time in ms, '1' = its clock has jumped}
--@include _common.lua

local MOST = 10000 -- held at once: more than a thousand workers do

local now, expected = now_ms(), tonumber(ARGV[6])
if expected > 0 and math.abs(now - expected) > tonumber(ARGV[7]) then
  for _, held in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', MOST)) do
    redis.call('XCLAIM', KEYS[1], ARGV[1], held[2], 0, held[1], 'JUSTID')
  end
  return { '0-0', {}, ms(now), '1' }
end
local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
return { reply[1], reply[2], ms(now), '' }
