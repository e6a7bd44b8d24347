#!lua flags=allow-oom
-- Ends a scan's login: keeps the login for the batch, or its failure, or neither. A scan that has lost the lease
-- changes nothing.
-- KEYS  1 hash: generation, state (JSON) or reason; token and until_ms of the scan that logs in
-- ARGV  1 token  2 'state' | 'reason' | 'none'  3 the state or the reason, '' for none  4 ttl ms
-- Returns the generation kept, 0 if none was
--@include _common.lua

local login = KEYS[1]
check_type(login, 'hash')
if redis.call('HGET', login, 'token') ~= ARGV[1] then return 0 end
redis.call('HDEL', login, 'token', 'until_ms')
if ARGV[2] == 'none' then return 0 end
local generation = redis.call('HINCRBY', login, 'generation', 1)
redis.call('HSET', login, ARGV[2], ARGV[3])
redis.call('PEXPIRE', login, ARGV[4])
return generation
