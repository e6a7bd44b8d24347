-- Shared by every script; `--@include` puts it in their place. It defines only local functions.

-- Redis time in ms, the only clock there is.
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

-- A JSON object's text with the time put in before its closing brace.
local function stamped(line, now)
  return string.sub(line, 1, -2) .. ',"at_ms":' .. ms(now) .. '}'
end

local EVENTS_KEPT = '100000'

local function add_event(events, line)
  redis.call('XADD', events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', line)
end

local FINAL = { succeeded = true, cancelled = true, dead = true }

-- Counts one job's end in its batch. Returns the line of `batch.finished` when it was the last, else nil.
local function close_batch_if_done(batch, batch_id, now, ttl_s)
  local counts = redis.call('HMGET', batch, 'total', 'done', 'sealed', 'succeeded', 'cancelled', 'dead', 'finished_ms')
  if counts[3] ~= '1' or counts[7] or tonumber(counts[2] or 0) < tonumber(counts[1] or 0) then
    return nil
  end
  redis.call('HSET', batch, 'finished_ms', ms(now))
  redis.call('EXPIRE', batch, ttl_s)
  return '{"v":1,"event":"batch.finished","batch":' .. cjson.encode(batch_id)
    .. ',"total":' .. (counts[1] or '0') .. ',"succeeded":' .. (counts[4] or '0')
    .. ',"cancelled":' .. (counts[5] or '0') .. ',"dead":' .. (counts[6] or '0')
    .. ',"at_ms":' .. ms(now) .. '}'
end

local function count_in_batch(batch, batch_id, state, now, ttl_s)
  redis.call('HINCRBY', batch, 'done', 1)
  redis.call('HINCRBY', batch, state, 1)
  return close_batch_if_done(batch, batch_id, now, ttl_s)
end
