-- Shared by the scripts that end a job: they drop its payload, which is no longer needed; a dead letter has its own
-- copy.

-- Redis never converts a hash that held a long value back to its compact form: the rest is written again, at a fifth of
-- the size.
local function drop_payload(job)
  redis.call('HDEL', job, 'payload', 'args')
  local kept = redis.call('HGETALL', job)
  if #kept == 0 or #kept > 200 then return end
  redis.call('DEL', job)
  redis.call('HSET', job, unpack(kept))
end
