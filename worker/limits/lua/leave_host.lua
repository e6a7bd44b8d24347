#!lua flags=allow-oom
-- A scan releases its host's slot. Safe to call twice, and late.
-- KEYS  1 zset: token → end ms
-- ARGV  1 token
-- Returns 1 if the slot was still held, else 0

return redis.call('ZREM', KEYS[1], ARGV[1])
