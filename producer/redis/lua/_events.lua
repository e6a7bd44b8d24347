-- Shared by scripts that tell of a job: its event, and the last end of its batch. Needs _common.lua.

-- A JSON object's text with the time put in before its closing brace.
local function stamped(line, now)
  return string.sub(line, 1, -2) .. ',"at_ms":' .. ms(now) .. '}'
end

local EVENTS_KEPT = '100000'

local function add_event(events, line)
  redis.call('XADD', events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', line)
end

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
