#!lua flags=allow-oom
-- events → due notices: reads the events after the cursor once, whichever worker asks, and creates one notice per
-- channel for the wanted ones. Events of one kind that are read together share a notice, so that a thousand dead
-- letters make few. Cursor, notices and counts change in one step.
-- KEYS  1 events stream  2 hash of the cursor and counts  3 zset of due notices  4 hash of open notices
-- ARGV  1 max events read  2 max lines kept in a notice  3 max open notices  4 number of kinds that follow, the kinds,
--       then the channels
-- Returns {events read, notices made, notices dropped because too many are open}; the very first call reads none
--@include _common.lua

local events, about, due, open = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check_type(events, 'stream')
check_type(about, 'hash')
check_type(due, 'zset')
check_type(open, 'hash')

local cursor = redis.call('HGET', about, 'cursor')
if not cursor or not string.match(cursor, '^%d+%-%d+$') then
  local newest = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)
  redis.call('HSET', about, 'cursor', newest[1] and newest[1][1] or '0-0')
  return {0, 0, 0}
end
if cursor == '18446744073709551615-18446744073709551615' then return {0, 0, 0} end
local rows = redis.call('XRANGE', events, '(' .. cursor, '+', 'COUNT', ARGV[1])
if #rows == 0 then
  -- A recreated stream, or one whose clock was set back, would not be read until it passes the cursor.
  local newest = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)
  local at = newest[1] and tonumber(string.match(newest[1][1], '^%d+'))
  if at and at < tonumber(string.match(cursor, '^%d+')) then redis.call('HSET', about, 'cursor', newest[1][1]) end
  return {0, 0, 0}
end

local wanted, first_channel = {}, 5 + tonumber(ARGV[4])
for k = 5, first_channel - 1 do wanted[ARGV[k]] = true end
local found, order = {}, {}
for _, row in ipairs(rows) do
  local line = row[2][2] or ''
  local kind = string.match(line, '^{[^{}]-"event":%s*"([%w._]+)"')
  if kind and wanted[kind] then
    if not found[kind] then
      found[kind] = { id = row[1], count = 0, lines = {} }
      order[#order + 1] = kind
    end
    local one = found[kind]
    one.count = one.count + 1
    if #one.lines < tonumber(ARGV[2]) then one.lines[#one.lines + 1] = cjson.encode(line) end
  end
end

local now, made, dropped = now_ms(), 0, 0
local held = redis.call('ZCARD', due)
for _, kind in ipairs(order) do
  local one = found[kind]
  local json = string.format('{"id":"%s","event":"%s","count":%d,"lines":[%s]}', one.id, kind, one.count,
    table.concat(one.lines, ','))
  for c = first_channel, #ARGV do
    if held >= tonumber(ARGV[3]) then
      dropped = dropped + 1
    else
      local notice = one.id .. '/' .. ARGV[c]
      redis.call('HSET', open, notice, json)
      redis.call('ZADD', due, ms(now), notice)
      made, held = made + 1, held + 1
    end
  end
end
redis.call('HSET', about, 'cursor', rows[#rows][1])
if dropped > 0 then redis.call('HINCRBY', about, 'dropped', dropped) end
return {#rows, made, dropped}
