#!lua flags=no-writes
-- Returns the status of a waiter that was woken without its grant, or late. Writes nothing, so that no grant waits for
-- the disk: the worker's next heartbeat (gpu_tend.lua) confirms the holder, whose call has already begun.
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
