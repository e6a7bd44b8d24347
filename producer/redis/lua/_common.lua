-- Shared by every script through `--@include`. It defines only local functions, which every call creates again:
-- functions that few scripts need are elsewhere.

-- Redis time in ms, the only clock.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function ms(number)
  return string.format('%.0f', number)
end

-- Scripts are not rolled back: each key's type is checked before the first write.
local function wrong_type(key, expected)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= expected then
    return redis.error_reply('WRONGKEY ' .. key .. ' is a ' .. found .. ': expected a ' .. expected)
  end
end

local function check_type(key, expected)
  local wrong = wrong_type(key, expected)
  if wrong then error(wrong) end
end

local function is_final(state)
  return state == 'succeeded' or state == 'cancelled' or state == 'dead'
end
