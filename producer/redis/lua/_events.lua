-- Shared by scripts that publish a job's event and the end of its batch. Needs _common.lua.

-- Returns the text of a JSON object with the time inserted before its closing brace.
local function stamped(line, now)
  return string.sub(line, 1, -2) .. ',"at_ms":' .. ms(now) .. '}'
end

-- A stream whose last id is the highest possible takes no more entries. Scripts are not rolled back: this is checked
-- before the first write, so that a state, its event and the count of its batch are written together or not at all.
local function no_room(stream)
  local info = redis.pcall('XINFO', 'STREAM', stream)
  for i = 1, info.err and 0 or #info, 2 do
    if info[i] == 'last-generated-id' and string.find(info[i + 1], '^18446744073709551615%-') then
      return redis.error_reply('WRONGKEY ' .. stream .. ' is at its last possible id: it takes no more entries')
    end
  end
end

local function check_room(stream)
  local full = no_room(stream)
  if full then error(full) end
end

local EVENTS_KEPT = '100000'

local function add_event(events, line)
  redis.call('XADD', events, 'MAXLEN', '~', EVENTS_KEPT, '*', 'event', line)
end

-- Counts one job's end in its batch. Returns the line of `batch.finished` if it was the last, else nil.
local function close_batch_if_done(batch, batch_id, now, ttl_s)
  local counts = redis.call('HMGET', batch, 'total', 'done', 'sealed', 'succeeded', 'cancelled', 'dead', 'finished_ms')
  if counts[3] ~= '1' or counts[7] or tonumber(counts[2] or 0) < tonumber(counts[1] or 0) then
    return nil
  end
  redis.call('HSET', batch, 'finished_ms', ms(now))
  redis.call('EXPIRE', batch, ttl_s)
  local pages = redis.call('HMGET', batch, 'pages:scanned', 'pages:partial', 'pages:unreachable', 'pages:blocked')
  local of_pages = ''
  if pages[1] or pages[2] or pages[3] or pages[4] then
    of_pages = string.format(',"pages":{"scanned":%s,"partial":%s,"unreachable":%s,"blocked":%s}',
      pages[1] or '0', pages[2] or '0', pages[3] or '0', pages[4] or '0')
  end
  return '{"v":1,"event":"batch.finished","batch":' .. cjson.encode(batch_id)
    .. ',"total":' .. (counts[1] or '0') .. ',"succeeded":' .. (counts[4] or '0')
    .. ',"cancelled":' .. (counts[5] or '0') .. ',"dead":' .. (counts[6] or '0') .. of_pages
    .. ',"at_ms":' .. ms(now) .. '}'
end

local function count_in_batch(batch, batch_id, state, now, ttl_s)
  redis.call('HINCRBY', batch, 'done', 1)
  redis.call('HINCRBY', batch, state, 1)
  return close_batch_if_done(batch, batch_id, now, ttl_s)
end
