#!lua flags=allow-oom
-- A host sent Retry-After (429, 503) instead of a page: no scan of it begins until then, and the page's own scan is
-- requeued. The total wait for a page is limited; beyond it the host stays open, since other pages may answer.
-- KEYS  1 string that lives as long as the host is closed  2 string: total wait for the page, ms
-- ARGV  1 ms to wait  2 ms that the wait counts as: a host that always asks for a second is not retried for hours
--       3 max total ms of waits for a page  4 ms after the wait for which the total is kept
-- Returns {ms after which to retry, -1 if that is too long; ms waited before}
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
