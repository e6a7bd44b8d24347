#!lua
-- missing explanations → requested by this caller, for the length of a lease; the ttl of existing ones is renewed.
-- KEYS  explanations: JSON ('{}' if a model gave none), or the token of its requester
-- ARGV  1 token  2 lease, ms  3 ttl of an explanation from its last use, s  4 max number leased
-- Returns for each key its JSON, 'yours', 'theirs' (another caller requests it), or '' (the limit of leases is reached)
--@include _common.lua

for _, key in ipairs(KEYS) do check_type(key, 'string') end
local told, left = {}, tonumber(ARGV[4])
for at, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  if held and string.sub(held, 1, 1) == '{' then
    if held ~= '{}' then redis.call('EXPIRE', key, ARGV[3]) end
    told[at] = held
  elseif held and held ~= ARGV[1] then
    told[at] = 'theirs'
  elseif left > 0 then
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    left = left - 1
    told[at] = 'yours'
  else
    told[at] = ''
  end
end
return told
