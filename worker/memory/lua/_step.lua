-- Shared by the scripts about the steps of conversations.

-- Whether a key is a whole step. The saver's JSON.MERGE on a step that only another server has leaves a rest of one.
local function is_step(key)
  local kind = redis.pcall('JSON.TYPE', key, '$.checkpoint')
  return type(kind) == 'table' and kind[1] == 'object'
end
