#!lua flags=allow-oom
-- Adds one model call to its day's sums, once: if it is sent again after a lost reply, it adds nothing.
-- KEYS  1 the day's hash  2 mark of this call
-- ARGV  1 seconds the hash is kept  2 seconds the mark is kept  3… field, number to add
-- Returns 1, or 0 when the call was counted before
--@include _common.lua

check_type(KEYS[1], 'hash')
if not redis.call('SET', KEYS[2], '', 'NX', 'EX', ARGV[2]) then return 0 end
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
