#!lua
-- explanations that were requested → kept. One that another caller has written meanwhile stays: it answers the same
-- question.
-- KEYS  explanations
-- ARGV  1 ttl, s  2 ttl of one that was not given, '{}', s  3… their JSON, in the order of the keys
-- Returns the number written
--@include _common.lua

for _, key in ipairs(KEYS) do check_type(key, 'string') end
local written = 0
for at, key in ipairs(KEYS) do
  local held, text = redis.call('GET', key), ARGV[at + 2]
  if not held or held == '{}' or string.sub(held, 1, 1) ~= '{' then
    redis.call('SET', key, text, 'EX', text == '{}' and ARGV[2] or ARGV[1])
    written = written + 1
  end
end
return written
