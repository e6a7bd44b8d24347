-- Ends a notice that no receiver accepted: it is kept for a week, with the reason. Needs _common.lua.
local function give_up(due, open, about, failed, notice, why, now)
  redis.call('ZREM', due, notice)
  redis.call('HDEL', open, notice, notice .. '#')
  redis.call('HINCRBY', about, 'failed', 1)
  redis.call('LPUSH', failed, '{"notice":' .. cjson.encode(notice) .. ',"why":' .. cjson.encode(why) .. ',"at_ms":' .. ms(now) .. '}')
  redis.call('LTRIM', failed, 0, 99)
  redis.call('EXPIRE', failed, 604800)
end
