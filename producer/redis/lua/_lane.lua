-- Shared by the scripts that put entries on a lane or take them off. Both are noted in the lane's turns hash, whose name is
-- spelt here: a turns key of another type stops no job, it only costs order, or a search that finds nothing.

-- Deletes entries and counts them: what is gone from the stream beyond this count was trimmed or deleted by somebody else
-- (look.lua).
local function delete_entries(lane, ...)
  local count = redis.call('XDEL', lane, ...)
  if count > 0 then redis.pcall('HINCRBY', lane .. ':turns', 'deleted', count) end
end

-- Says that an entry which may be of a batch was added (claim.lua).
local function note_batched(lane)
  redis.pcall('HSET', lane .. ':turns', 'batched', '1')
end
