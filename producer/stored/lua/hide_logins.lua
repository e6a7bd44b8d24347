#!lua
-- A schedule of an earlier release → the same without names and passwords in its addresses, unless it has changed since
-- it was read.
-- KEYS  1 schedules hash
-- ARGV  1 name  2 the text that was read  3 the new text
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
