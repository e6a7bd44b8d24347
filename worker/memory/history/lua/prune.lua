#!lua flags=allow-oom
-- history documents → deleted, if their state was last seen before a time. The caller decides which may be deleted.
-- KEYS  history documents
-- ARGV  1 time, ms
-- Returns the number deleted
--@include _common.lua

for _, key in ipairs(KEYS) do check_type(key, 'hash') end
local gone = 0
for _, key in ipairs(KEYS) do
  -- A concurrent scan may have seen the state again.
  local seen = redis.call('HGET', key, 'last_seen_ms')
  if seen and tonumber(seen) < tonumber(ARGV[1]) then gone = gone + redis.call('UNLINK', key) end
end
return gone
