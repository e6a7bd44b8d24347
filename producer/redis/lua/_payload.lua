-- Shared by the scripts that end a job: its payload goes, since nobody can run it again from here; a dead letter has its own.

-- Redis never turns a hash that held a long value back into its small form: what is left is written again, a fifth of it.
local function drop_payload(job)
  redis.call('HDEL', job, 'payload', 'args')
  local kept = redis.call('HGETALL', job)
  if #kept == 0 or #kept > 200 then return end
  redis.call('DEL', job)
  redis.call('HSET', job, unpack(kept))
end
