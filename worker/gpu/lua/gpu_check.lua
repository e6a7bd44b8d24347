#!lua flags=no-writes
-- Returns how a waiter stands that was woken without its grant, or heard of it late. Writes nothing, so that no hand-over
-- waits for the disk: the holder is confirmed by its worker's next heartbeat (gpu_tend.lua), while it calls already.
-- KEYS  as in _gpu.lua
-- ARGV  1 token
-- Returns {'granted', host, ms left of its lease} | {'waiting', '', 0} | {'gone', '', 0}: never known, or passed on
--@include _common.lua

check_type(KEYS[3], 'hash')
check_type(KEYS[4], 'zset')
local text = redis.call('HGET', KEYS[3], ARGV[1])
if not text then return { 'gone', '', 0 } end
local call = cjson.decode(text)
if not call.host then return { 'waiting', '', 0 } end
local left = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[1]) or 0) - now_ms()
if left <= 0 then return { 'gone', '', 0 } end
return { 'granted', call.host, left }
