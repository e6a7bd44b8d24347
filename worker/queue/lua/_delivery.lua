-- Shared by the scripts that begin or end a delivery. Needs _common.lua and _lane.lua first.

-- Whether this delivery still holds the job: 'ok' | 'already' (this delivery has already ended it this way) | 'lost' |
-- an error. `ended` is the state after the requested transition. Also returns the job's last error and its progress.
local function standing(lane, job, group, consumer, entry, fence, ended)
  local held = redis.pcall('HMGET', job, 'fence', 'entry', 'state', 'error', 'progress')
  if held.err then return wrong_type(job, 'hash') end
  if held[1] ~= fence then return 'lost' end
  if held[3] == ended then return 'already' end
  if held[2] ~= entry or held[3] ~= 'running' then return 'lost' end
  local pending = redis.pcall('XPENDING', lane, group, entry, entry, 1, consumer)
  if pending.err then return pending end
  if #pending == 0 then return 'lost' end
  return 'ok', held[4], held[5]
end

local function drop_entry(lane, group, entry)
  redis.call('XACK', lane, group, entry)
  delete_entries(lane, entry)
end
