#!lua
-- A schedule of an earlier release → the same without the names and passwords in its addresses, if it is still what was read.
-- KEYS  1 schedules hash
-- ARGV  1 name  2 as it was read  3 as it shall be
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
