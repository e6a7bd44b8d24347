#!lua
-- Takes what there is for the free places: batch's turns first, then interactive, then batch with what is left.
-- Without allow-oom on purpose: claiming pauses while Redis is full.
-- KEYS  1 interactive stream  2 batch stream
-- ARGV  1 group  2 consumer  3 free places  4 how many of them interactive may take  5 how many batch  6 turns due to batch
-- Returns {interactive entries, batch entries}, each {{id, {field, value, …}}, …}

local function take(stream, count)
  if count <= 0 then return {} end
  local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', count, 'STREAMS', stream, '>')
  return reply and reply[1] and reply[1][2] or {}
end

local places, for_interactive, for_batch = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local batch = take(KEYS[2], math.min(tonumber(ARGV[6]), for_batch))
local interactive = take(KEYS[1], math.min(places - #batch, for_interactive))
local more = take(KEYS[2], math.min(places - #batch - #interactive, for_batch - #batch))
for _, entry in ipairs(more) do batch[#batch + 1] = entry end
return { interactive, batch }
