#!lua flags=allow-oom
-- Reclaims entries that nobody renewed for long: pending for another consumer → pending for this one.
-- Entries that were deleted meanwhile leave the pending list by this.
-- KEYS  1 lane stream
-- ARGV  1 group  2 consumer  3 least idle ms  4 cursor  5 at most how many
-- Returns {next cursor, {{id, {field, value, …}}, …}}

local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
return { reply[1], reply[2] }
