#!lua flags=allow-oom
-- explanations that are asked for → leased on, as far as they are still this caller's; with a lease of 0 anybody's.
-- KEYS  explanations
-- ARGV  1 token  2 lease, ms
-- Returns how many are this caller's
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
