#!lua flags=allow-oom
-- due → being sent: claims notices for the length of a lease; when it expires, a notice is due again. The number of the
-- claim is its fence.
-- due → given up, for one older than the maximum age, on any channel.
-- KEYS  1 zset of due notices  2 hash of open notices  3 hash of counts  4 list of given-up notices
-- ARGV  1 lease ms  2 max notices  3 max age ms  4… the channels
-- Returns {claimed: notice, JSON, number of the claim, …}, {given up: notice, …}
--@include _common.lua
--@include _give_up.lua

local due, open, about, failed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check_type(due, 'zset')
check_type(open, 'hash')
check_type(about, 'hash')
check_type(failed, 'list')

local now, mine = now_ms(), {}
for c = 4, #ARGV do mine[ARGV[c]] = true end
local lease_ms, most, age_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
-- No notice waits for a whole day unless Redis's clock was set back; then it is due now.
for _, notice in ipairs(redis.call('ZRANGEBYSCORE', due, '(' .. ms(now + 86400000), '+inf', 'LIMIT', 0, 100)) do
  redis.call('ZADD', due, ms(now), notice)
end

local claimed, given_up = {}, {}
for _, notice in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', ms(now))) do
  local json = redis.call('HGET', open, notice)
  if not json then
    redis.call('ZREM', due, notice)
  elseif now - (tonumber(string.match(notice, '^%d+')) or 0) > age_ms then
    give_up(due, open, about, failed, notice, 'no receiver took it in time', now)
    given_up[#given_up + 1] = notice
  elseif mine[string.match(notice, '/(.*)$') or ''] and #claimed < 3 * most then
    local number = redis.call('HINCRBY', open, notice .. '#', 1)
    redis.call('ZADD', due, ms(now + lease_ms), notice)
    claimed[#claimed + 1], claimed[#claimed + 2], claimed[#claimed + 3] = notice, json, number
  end
end
return {claimed, given_up}
