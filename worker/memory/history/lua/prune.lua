#!lua flags=allow-oom
-- history documents → gone, where their state was seen last before a time. Which may go is decided by the caller.
-- KEYS  history documents
-- ARGV  1 time, ms
-- Returns how many went
--@include _common.lua

for _, key in ipairs(KEYS) do check_type(key, 'hash') end
local gone = 0
for _, key in ipairs(KEYS) do
  -- A scan that ran meanwhile may have seen the state again.
  local seen = redis.call('HGET', key, 'last_seen_ms')
  if seen and tonumber(seen) < tonumber(ARGV[1]) then gone = gone + redis.call('UNLINK', key) end
end
return gone
