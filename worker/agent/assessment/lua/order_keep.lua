#!lua
-- a requested order → the site's order of today. Safe to repeat.
-- KEYS  1 order hash
-- ARGV  1 the order's JSON
-- Returns 1
--@include _common.lua

check_type(KEYS[1], 'hash')
local today = math.floor(now_ms() / 86400000)
redis.call('HSET', KEYS[1], 'day', today, 'since', today, 'order', ARGV[1])
redis.call('HDEL', KEYS[1], 'asked_until')
return 1
