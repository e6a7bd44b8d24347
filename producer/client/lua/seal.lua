#!lua
-- A batch: open → sealed, and finished if all its jobs have ended. Safe to call twice.
-- KEYS  1 batch hash  2 events stream  3 zset: recently sealed batch → when, ms
-- ARGV  1 batch id  2 ttl s of a finished batch  3 channel of live events  4 '1' = an empty batch may be created
-- Returns 'sealed' | 'finished' | 'unknown'
--@include _common.lua
--@include _events.lua

local KEPT = 200 -- max number of batches that can be listed
local batch, events, recent = KEYS[1], KEYS[2], KEYS[3]
check_type(batch, 'hash')
check_type(events, 'stream')
check_type(recent, 'zset') -- trimmed only if the user may do so: ACLs of earlier releases do not permit it
check_room(events)
if redis.call('EXISTS', batch) == 0 and ARGV[4] ~= '1' then return 'unknown' end

local now = now_ms()
redis.call('HSETNX', batch, 'created_ms', ms(now))
redis.call('HSETNX', batch, 'total', 0)
redis.call('HSETNX', batch, 'done', 0)
redis.call('HSET', batch, 'sealed', 1)
redis.call('ZADD', recent, 'NX', ms(now), ARGV[1])
redis.pcall('ZREMRANGEBYRANK', recent, 0, -KEPT - 1)
local line = close_batch_if_done(batch, ARGV[1], now, ARGV[2])
if line then
  add_event(events, line)
  redis.call('PUBLISH', ARGV[3], line)
end
return redis.call('HEXISTS', batch, 'finished_ms') == 1 and 'finished' or 'sealed'
