#!lua
-- a site without today's order → requested by this caller, once its batch is over: no scan waits or runs, and no
-- assessment waits. On a site that is never quiet, two days after the first look. The number of tries per day is
-- limited.
-- KEYS  1 order hash  2 stream of assessments  3… streams of the scans' lanes
-- ARGV  1 lease of the request, ms  2 max tries per day  3 ttl of the order, s  4 consumer group
-- Returns { 'due' or '', the order's JSON if it is today's, else '' }
--@include _common.lua

check_type(KEYS[1], 'hash')
for at = 2, #KEYS do check_type(KEYS[at], 'stream') end
local now = now_ms()
local today = math.floor(now / 86400000)
local held = redis.call('HMGET', KEYS[1], 'day', 'order', 'tried', 'tries', 'asked_until', 'since')
if tonumber(held[1]) == today then return { '', held[2] or '' } end
local tries = tonumber(held[3]) == today and tonumber(held[4]) or 0
if tonumber(held[5] or 0) > now or tries >= tonumber(ARGV[2]) then return { '', '' } end

local function is_quiet()
  for at = 3, #KEYS do
    if redis.call('XLEN', KEYS[at]) > 0 then return false end
  end
  if redis.call('EXISTS', KEYS[2]) == 0 then return true end
  return redis.call('XLEN', KEYS[2]) <= redis.call('XPENDING', KEYS[2], ARGV[4])[1]
end

local since = tonumber(held[6] or today)
redis.call('HSET', KEYS[1], 'since', since)
redis.call('EXPIRE', KEYS[1], ARGV[3])
if today - since < 2 and not is_quiet() then return { '', '' } end
redis.call('HSET', KEYS[1], 'tried', today, 'tries', tries + 1, 'asked_until', ms(now + ARGV[1]))
return { 'due', '' }
