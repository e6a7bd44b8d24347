#!lua flags=allow-oom
-- Acquires one of a host's slots, which all workers share, or renews the scan's own. A slot is held until it is
-- released or expires, so that a killed worker's slots become free. A scan that must wait longer than it can is
-- requeued, and counted until it is certainly back: the more are away, the longer each stays away, so that a few of
-- them are there at the host's next start. Nothing is reserved: a late scan delays no other.
-- KEYS  1 zset: token → end ms  2 string: when the last scan of the host began, ms  3 zset: token of a requeued scan →
--       when it is due, ms  4 string that lives until the host's Retry-After (close_host.lua)  5 hash of the controls: pauses
--       and hosts' limits
-- ARGV  1 token  2 slots of the host  3 min ms between two starts  4 ms a slot is held  5 ms this scan can wait, -1 for
--       a running scan, which is not requeued
--       6 min and 7 max ms over which requeued scans spread their return  8 and 9 fields of the pauses of the host and
--       the page's site  10 field of the host's limits, which replace 2 and 3  11 min ms between two starts requested
--       by the scan
-- Returns {ms after which to ask again, 0 if the slot is held; ms over which to spread the return}, or {-1, 0} if the
--       host is paused and {-1, 1} if the site is: a running scan continues.
--@include _common.lua

local RETURNS_A_BEGINNING = 4 -- so that usually one of them is there; their number cancels out
local slots, last, away, closed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check_type(slots, 'zset')
check_type(last, 'string')
check_type(away, 'zset')
check_type(closed, 'string')
local now = now_ms()
local places, gap_ms, hold_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

redis.call('ZREMRANGEBYSCORE', slots, '-inf', ms(now))
-- Others may hold theirs longer, but never by so much unless Redis's clock was set back: then theirs count from now.
for _, token in ipairs(redis.call('ZRANGEBYSCORE', slots, '(' .. ms(now + 10 * hold_ms), '+inf')) do
  redis.call('ZADD', slots, ms(now + hold_ms), token)
end
local function hold()
  redis.call('ZADD', slots, ms(now + hold_ms), ARGV[1])
  redis.call('PEXPIRE', slots, math.max(hold_ms, redis.call('PTTL', slots))) -- others may hold theirs longer
  return {0, 0}
end

local function wait(wait_ms)
  local can_wait_ms = tonumber(ARGV[5])
  if can_wait_ms < 0 or wait_ms <= can_wait_ms then return {wait_ms, 0} end
  redis.call('ZREMRANGEBYSCORE', away, '-inf', ms(now))
  local spread_ms = math.floor(gap_ms * redis.call('ZCARD', away) / RETURNS_A_BEGINNING)
  spread_ms = math.max(tonumber(ARGV[6]), math.min(tonumber(ARGV[7]), spread_ms))
  redis.call('ZADD', away, ms(now + wait_ms + spread_ms), ARGV[1])
  redis.call('PEXPIRE', away, math.max(wait_ms + spread_ms, redis.call('PTTL', away)))
  return {wait_ms, spread_ms}
end

if redis.call('ZSCORE', slots, ARGV[1]) then return hold() end -- a renewal, or a repeat after a lost reply
local paused = tonumber(ARGV[5]) >= 0 and redis.pcall('HMGET', KEYS[5], ARGV[8], ARGV[9], ARGV[10]) or {}
if paused[1] then return {-1, 0} end
if paused[2] then return {-1, 1} end
if paused[3] then
  local is_json, limits = pcall(cjson.decode, paused[3])
  if is_json and type(limits) == 'table' then
    if type(limits.places) == 'number' then places = math.max(1, limits.places) end
    if type(limits.gap_ms) == 'number' then gap_ms = limits.gap_ms end
  end
end
gap_ms = math.max(gap_ms, tonumber(ARGV[11]))
local closed_ms = redis.call('PTTL', closed)
if closed_ms > 0 then return wait(closed_ms) end
local began = tonumber(redis.call('GET', last) or 0)
if began > now then began = now end -- a clock set back must not close the host
if now < began + gap_ms then return wait(began + gap_ms - now) end
if redis.call('ZCARD', slots) >= places then
  return wait(250) -- a release notifies nobody; scans take longer than this anyway
end
redis.call('SET', last, ms(now), 'PX', math.max(gap_ms, 1000))
return hold()
