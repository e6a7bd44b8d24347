-- Shared by the scripts that end a delivery. Needs _common.lua before it.

-- Is this delivery still the one that holds the job? 'ok' | 'already' (this very delivery has ended it so) | 'lost'.
-- `ended` is the state that the asked-for transition leaves behind.
local function standing(lane, job, group, consumer, entry, fence, ended)
  local held = redis.call('HMGET', job, 'fence', 'entry', 'state')
  if held[1] ~= fence then return 'lost' end
  if held[3] == ended then return 'already' end
  if held[2] ~= entry or held[3] ~= 'running' then return 'lost' end
  if #redis.call('XPENDING', lane, group, entry, entry, 1, consumer) == 0 then return 'lost' end
  return 'ok'
end

local function drop_entry(lane, group, entry)
  redis.call('XACK', lane, group, entry)
  redis.call('XDEL', lane, entry)
end
