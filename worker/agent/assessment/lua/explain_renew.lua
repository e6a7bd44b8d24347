#!lua flags=allow-oom
-- explanations that are being requested → lease renewed, if this caller still holds it; a lease of 0 releases them.
-- KEYS  explanations
-- ARGV  1 token  2 lease, ms
-- Returns the number that this caller holds
--@include _common.lua

for _, key in ipairs(KEYS) do check_type(key, 'string') end
local held = 0
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then
    redis.call('PEXPIRE', key, ARGV[2])
    held = held + 1
  end
end
return held
