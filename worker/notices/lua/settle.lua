#!lua flags=allow-oom
-- being sent → sent | due later | given up. Fenced: only the claim with that number counts. Safe to repeat.
-- KEYS  1 zset of due notices  2 hash of open notices  3 hash of counts  4 list of given-up notices
-- ARGV  1 notice  2 number of the claim  3 'sent' | 'later' | 'failed'  4 ms until it is due, for 'later'  5 the
--       reason, for 'failed'
-- Returns 'ok' | 'lost': it was settled, or another worker has it
--@include _common.lua
--@include _give_up.lua

local due, open, about, failed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check_type(due, 'zset')
check_type(open, 'hash')
check_type(about, 'hash')
check_type(failed, 'list')

local notice, now = ARGV[1], now_ms()
if redis.call('HGET', open, notice .. '#') ~= ARGV[2] then return 'lost' end
if ARGV[3] == 'sent' then
  redis.call('ZREM', due, notice)
  redis.call('HDEL', open, notice, notice .. '#')
  redis.call('HINCRBY', about, 'sent', 1)
elseif ARGV[3] == 'later' then
  redis.call('ZADD', due, ms(now + ARGV[4]), notice)
else
  give_up(due, open, about, failed, notice, ARGV[5], now)
end
return 'ok'
