#!lua flags=allow-oom
-- A scan gives its host's place back. Safe to call twice, and late.
-- KEYS  1 zset: token → end ms
-- ARGV  1 token
-- Returns 1 when the place was still held, else 0

return redis.call('ZREM', KEYS[1], ARGV[1])
