#!lua flags=allow-oom
-- Counts the missing entries of a search as deleted: the lane's counters agree again, so that nobody searches for them.
-- KEYS  1 turns hash
-- ARGV  1 number of missing entries  2 token of the search
-- Returns 'settled' | 'other' (a later search has begun)

if redis.call('HGET', KEYS[1], 'searched_ms') ~= ARGV[2] then return 'other' end
redis.call('HINCRBY', KEYS[1], 'deleted', ARGV[1])
redis.call('HSET', KEYS[1], 'searched_ms', ARGV[2] - 0.5) -- no search's token: a repeat after a lost reply counts nothing
return 'settled'
