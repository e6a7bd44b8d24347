#!lua
-- a result → its next text, with the remaining ttl, if it is still the text that was read. Refused while Redis is full.
-- KEYS  1 result string
-- ARGV  1 SHA-1 of the text that was read  2 new text
-- Returns 1 if it was replaced, else 0
--@include _common.lua

check_type(KEYS[1], 'string')
local held = redis.call('GET', KEYS[1])
if not held or redis.sha1hex(held) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1
