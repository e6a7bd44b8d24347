#!lua flags=allow-oom
-- Deletes older steps of a conversation, if the running question still holds it: another's newest may be among them.
-- KEYS  1 thread hash  2 the newest step, then the keys to delete
-- ARGV  1 token
-- Returns 'gone' | 'lost' (also if the newest step does not exist: a failover has lost it, and the older ones are what
--         is left of the conversation)
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 0 then return 'lost' end
for i = 3, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 'gone'
