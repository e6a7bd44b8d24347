#!lua flags=allow-oom
-- Reclaims entries that were not renewed for long: pending for another consumer → pending for this one. This removes
-- deleted entries from the pending list. Idle times are by Redis's clock: after a jump they mean nothing, and each
-- entry is renewed for its holder, so that live holders can renew it in time. If the caller knows no earlier time, this
-- is done for entries of idle time 0: those delivered before the clock was set back would stay at 0 until it catches up.
-- KEYS  1 lane stream
-- ARGV  1 group  2 consumer  3 min idle ms  4 cursor  5 max number  6 Redis's time that the caller expects, in ms, 0 =
--       unknown  7 tolerance of that time, in ms
-- Returns {next cursor, {{id, {field, value, …}}, …}, Redis's time in ms, '1'
--       = its clock has jumped}
--@include _common.lua

local MOST = 10000 -- max entries held at once: more than a thousand workers hold

local now, expected = now_ms(), tonumber(ARGV[6])
local is_unknown = expected == 0
local has_jumped = not is_unknown and math.abs(now - expected) > tonumber(ARGV[7])
if is_unknown or has_jumped then
  for _, held in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', MOST)) do
    if has_jumped or held[3] == 0 then redis.call('XCLAIM', KEYS[1], ARGV[1], held[2], 0, held[1], 'JUSTID') end
  end
end
if has_jumped then return { '0-0', {}, ms(now), '1' } end
local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
return { reply[1], reply[2], ms(now), '' }
