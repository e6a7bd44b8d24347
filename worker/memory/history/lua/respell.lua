#!lua
-- a record of history under an earlier release's spelling of its address → under the one spelling, unless it was
-- corrected, dropped or written again meanwhile.
-- KEYS  1 history document
-- ARGV  1 the page id that it has  2… field, value
-- Returns 1 if it was corrected, else 0
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('HGET', KEYS[1], 'page') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
