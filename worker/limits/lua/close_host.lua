#!lua flags=allow-oom
-- A host has asked to be left alone for a while (429, 503 with Retry-After) instead of giving a page: no scan of it begins
-- until then, and the page's own scan is requeued. A page is waited for so long in all; its host stays open then, as
-- another answer may be had of it.
-- KEYS  1 string that lives as long as the host is closed  2 string: how long the page has been waited for in all, ms
-- ARGV  1 ms to wait  2 ms that the wait counts as: a host that always asks for a second is not asked for hours
--       3 ms that a page is waited for in all  4 ms after the wait for which the sum is kept
-- Returns {ms after which to come again, -1 where that is too long; ms waited for before}
--@include _common.lua

local closed, sum = KEYS[1], KEYS[2]
check_type(closed, 'string')
check_type(sum, 'string')
local wait_ms, cost_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local waited_ms = tonumber(redis.call('GET', sum) or 0)

if waited_ms + cost_ms > tonumber(ARGV[3]) then
  redis.call('DEL', sum)
  return {-1, waited_ms}
end
redis.call('SET', sum, ms(waited_ms + cost_ms), 'PX', ms(wait_ms + ARGV[4]))
if redis.call('PTTL', closed) < wait_ms then redis.call('SET', closed, ARGV[1], 'PX', ms(wait_ms)) end
return {redis.call('PTTL', closed), waited_ms}
