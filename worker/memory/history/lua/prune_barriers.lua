#!lua flags=allow-oom
-- component barriers → deleted, if their last page lost them before a time
-- KEYS  hashes of component barriers
-- ARGV  1 time, ms
-- Returns the number deleted
--@include _common.lua

for _, key in ipairs(KEYS) do check_type(key, 'hash') end
local gone = 0
for _, key in ipairs(KEYS) do
  -- A concurrent scan may have found it again.
  local pages, mended = unpack(redis.call('HMGET', key, 'pages', 'mended_ms'))
  if pages == '0' and (tonumber(mended or '') or math.huge) < tonumber(ARGV[1]) then gone = gone + redis.call('UNLINK', key) end
end
return gone
