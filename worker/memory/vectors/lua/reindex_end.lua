#!lua
-- a retired generation → removed from the record, once its fields and indexes are gone.
-- KEYS  1 record hash
-- ARGV  1 the retired generation
-- Returns 1 if it was the retired one, else 0
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('HGET', KEYS[1], 'retired') ~= ARGV[1] then return 0 end
return redis.call('HDEL', KEYS[1], 'retired')
