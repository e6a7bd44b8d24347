#!lua
-- explanations that nobody has yet → asked for by this caller, for the length of a lease; those there are live on.
-- KEYS  explanations: JSON ('{}' where a model gave none), or the token of whoever asks for one
-- ARGV  1 token  2 lease, ms  3 life of an explanation from its last use on, s  4 the most that are leased
-- Returns for each key its JSON, 'yours', 'theirs' (another asks for it), or '' (the most are leased)
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
