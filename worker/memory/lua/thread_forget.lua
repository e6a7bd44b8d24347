#!lua flags=allow-oom
-- Deletes older steps of a conversation, if the running question still holds it: another's newest may be among them.
-- KEYS  1 thread hash, then the keys to delete
-- ARGV  1 token
-- Returns 'gone' | 'lost'
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 'lost' end
for i = 2, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 'gone'
