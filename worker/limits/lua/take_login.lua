#!lua flags=allow-oom
-- Gets the batch's login for a scan: kept | failed | another scan is logging in | this scan must log in. A lost login
-- is repeated up to the limit; a scan that saw an older one lost gets the newer.
-- KEYS  1 hash: generation, state (JSON) or reason; token and until_ms of the scan that logs in
-- ARGV  1 token  2 lease ms  3 generation that the scan has seen lost, 0 for none  4 max generations  5 ttl ms
-- Returns {'kept', generation, state} | {'failed', reason} | {'yours'} | {'wait', ms} | {'spent'}
--@include _common.lua

local login, now = KEYS[1], now_ms()
check_type(login, 'hash')
local lease_ms, lost = tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HMGET', login, 'generation', 'state', 'reason', 'token', 'until_ms')
local generation = tonumber(held[1] or '0')

if held[3] then return { 'failed', held[3] } end
if held[2] and generation > lost then return { 'kept', generation, held[2] } end
if held[4] and held[4] ~= ARGV[1] then
  local left_ms = math.min(tonumber(held[5]) - now, lease_ms) -- no more, even if Redis's clock was set back
  if left_ms > 0 then return { 'wait', left_ms } end
end
if generation >= tonumber(ARGV[4]) then return { 'spent' } end
redis.call('HSET', login, 'token', ARGV[1], 'until_ms', ms(now + lease_ms))
redis.call('PEXPIRE', login, ARGV[5])
return { 'yours' }
