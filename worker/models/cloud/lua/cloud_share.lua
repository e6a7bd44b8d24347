#!lua flags=allow-oom
-- Counts one chat call of today (UTC, Redis time), and lets it go to the cloud within the cloud's share:
-- granted calls never exceed share × calls, rounded up. All workers share the count.
-- KEYS  1 hash: day, calls, granted
-- ARGV  1 share in parts per million  2 1 for a call that was not counted yet  3 1 to ask for the cloud
-- Returns 1 if it is granted, else 0
-- A grant is used up even if its call fails. Sent again after a lost reply, a call counts twice.
--@include _common.lua

local share = KEYS[1]
check_type(share, 'hash')
local day = ms(math.floor(now_ms() / 86400000))
if redis.call('HGET', share, 'day') ~= day then
  redis.call('DEL', share)
  redis.call('HSET', share, 'day', day)
  redis.call('EXPIRE', share, 2 * 86400)
end
if ARGV[2] == '1' then redis.call('HINCRBY', share, 'calls', 1) end
if ARGV[3] ~= '1' then return 0 end
local calls = tonumber(redis.call('HGET', share, 'calls') or 0)
local granted = tonumber(redis.call('HGET', share, 'granted') or 0)
-- In whole numbers: 0.1 × 30 is more than 3 in floating point.
if (granted + 1) * 1000000 > calls * tonumber(ARGV[1]) + 999999 then return 0 end
redis.call('HINCRBY', share, 'granted', 1)
return 1
