#!lua flags=allow-oom
-- A claimed entry whose job was submitted again under its id → acknowledged, deleted and counted. Safe to repeat.
-- KEYS  1 lane stream
-- ARGV  1 group  2 entry id
-- Returns 1
--@include _common.lua
--@include _lane.lua

check_type(KEYS[1], 'stream')
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
delete_entries(KEYS[1], ARGV[2])
return 1
