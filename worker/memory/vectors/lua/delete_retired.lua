#!lua flags=allow-oom
-- vectors of retired generations, and notes on them → deleted. The record, read in the same step, says which are
-- retired: a reindex that was announced a moment ago loses nothing. Keys that are not hashes are not documents, and are
-- kept.
-- KEYS  1 record hash, then documents
-- ARGV  1 max documents changed per call: each is indexed again, which takes ms
-- Returns { number of documents examined, number of these changed }: continue after the former
--@include _common.lua

check_type(KEYS[1], 'hash')
local live = {}
for _, generation in ipairs(redis.call('HMGET', KEYS[1], 'active', 'coming')) do
  if generation then live[string.match(generation, '^%d+')] = true end
end
-- Redis has lost its data: nothing says which model the vectors are from.
if not next(live) then return { #KEYS - 1, 0 } end

local function dead_fields(key)
  local dead = {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local of = string.match(field, '^(.*)_note$') or field
    local number = of == 'vector' and '1' or string.match(of, '^vector_(%d+)$')
    if number and not live[number] then dead[#dead + 1] = field end
  end
  return dead
end

local changed = 0
for at = 2, #KEYS do
  if changed == tonumber(ARGV[1]) then return { at - 2, changed } end
  if redis.call('TYPE', KEYS[at]).ok == 'hash' then
    local dead = dead_fields(KEYS[at])
    if #dead > 0 then
      redis.call('HDEL', KEYS[at], unpack(dead))
      changed = changed + 1
    end
  end
end
return { #KEYS - 1, changed }
