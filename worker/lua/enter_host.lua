#!lua flags=allow-oom
-- A scan asks for one of a host's places, which all workers share, or for its own again. A place is held until it is left
-- or its time is up, so that a killed worker's come free by themselves.
-- KEYS  1 zset: token → end ms  2 string: when the last scan of the host began, ms
-- ARGV  1 token  2 places of the host  3 least ms between two beginnings  4 ms a place is held
-- Returns 0 when the place is taken, else the ms after which asking again makes sense
--@include _common.lua

local places, last = KEYS[1], KEYS[2]
check_type(places, 'zset')
check_type(last, 'string')
local now = now_ms()
local gap_ms, hold_ms = tonumber(ARGV[3]), tonumber(ARGV[4])

redis.call('ZREMRANGEBYSCORE', places, '-inf', ms(now))
local function hold()
  redis.call('ZADD', places, ms(now + hold_ms), ARGV[1])
  redis.call('PEXPIRE', places, math.max(hold_ms, redis.call('PTTL', places))) -- others may hold theirs for longer
end

if redis.call('ZSCORE', places, ARGV[1]) then -- a renewal, or asked again after a lost reply
  hold()
  return 0
end
local began = tonumber(redis.call('GET', last) or 0)
if began > now then began = now end -- a clock set back must not close the host
if now < began + gap_ms then return began + gap_ms - now end
if redis.call('ZCARD', places) >= tonumber(ARGV[2]) then
  return 250 -- a place is left with no word to those who wait; a scan takes longer than this anyway
end
hold()
redis.call('SET', last, ms(now), 'PX', math.max(gap_ms, 1000))
return 0
