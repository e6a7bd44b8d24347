-- Shared by the scripts that begin or end a delivery. Needs _common.lua and _lane.lua before it.

-- Is this delivery still the one that holds the job? 'ok' | 'already' (this very delivery has ended it so) | 'lost' | an
-- error. `ended` is the state that the asked-for transition leaves behind. Returns the job's last error, too.
local function standing(lane, job, group, consumer, entry, fence, ended)
  local held = redis.pcall('HMGET', job, 'fence', 'entry', 'state', 'error')
  if held.err then return wrong_type(job, 'hash') end
  if held[1] ~= fence then return 'lost' end
  if held[3] == ended then return 'already' end
  if held[2] ~= entry or held[3] ~= 'running' then return 'lost' end
  local pending = redis.pcall('XPENDING', lane, group, entry, entry, 1, consumer)
  if pending.err then return pending end
  if #pending == 0 then return 'lost' end
  return 'ok', held[4]
end

local function drop_entry(lane, group, entry)
  redis.call('XACK', lane, group, entry)
  delete_entries(lane, entry)
end
