#!lua
-- a history record with an earlier release's spelling of its address → with the normalised one, unless it was
-- corrected, deleted or rewritten meanwhile.
-- KEYS  1 history document
-- ARGV  1 its current page id  2… field, value
-- Returns 1 if it was corrected, else 0
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('HGET', KEYS[1], 'page') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1
