-- Shared by the scripts that add entries to a lane or delete them. Both are counted in the lane's turns hash, whose
-- name is spelt here: a turns key of another type stops no job; it only costs order, or a useless search.

-- Deletes entries and counts them: entries missing from the stream beyond this count were trimmed or deleted by others
-- (look.lua).
local function delete_entries(lane, ...)
  local count = redis.call('XDEL', lane, ...)
  if count > 0 then redis.pcall('HINCRBY', lane .. ':turns', 'deleted', count) end
end

-- Records that an entry that may belong to a batch was added (claim.lua).
local function note_batched(lane)
  redis.pcall('HSET', lane .. ':turns', 'batched', '1')
end
