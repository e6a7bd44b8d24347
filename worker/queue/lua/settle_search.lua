#!lua flags=allow-oom
-- Entries that were searched for are counted as deleted: the lane's counters agree again, and nobody searches for them.
-- KEYS  1 turns hash
-- ARGV  1 entries that were gone  2 token of the search
-- Returns 'settled' | 'other' (a later search has begun)

if redis.call('HGET', KEYS[1], 'searched_ms') ~= ARGV[2] then return 'other' end
redis.call('HINCRBY', KEYS[1], 'deleted', ARGV[1])
redis.call('HSET', KEYS[1], 'searched_ms', ARGV[2] - 1) -- a repeat after a lost reply counts nothing
return 'settled'
