#!lua flags=allow-oom
-- A malformed entry (unreadable, incomplete, unknown) → dead-letter stream, with its fields unchanged except for what
-- may be a name and password in an address ('//name:password@'): letters are kept for long and shown. Values over the
-- limit are cut and marked, so that garbage cannot fill Redis. A malformed entry may name a submitted job: then it is
-- dead-lettered under its own id, and that job is not touched.
-- KEYS  1 lane stream  2 dead stream  3 events stream  4 result string  5 job hash
-- ARGV  1 group  2 consumer  3 entry id  4 job id  5 lane  6 reason  7 event JSON without job_id  8 channel  9 max
--       bytes per value
--       10 cap of the dead stream  11 result JSON or ''  12 result ttl s  13 error type  14 the entry's own job id
--       15 max bytes of the dead stream  16 '1' = the entry names an unknown job and has no payload
--       17 lifetime of ended jobs, in s
-- Returns {'committed', length of the dead stream, or its cap if letters were dropped for their size} | {'lost'}
--         | {'ended'}  the job has ended and is no longer kept: its entry is dropped and its state is unchanged
--@include _common.lua
--@include _events.lua
--@include _lane.lua
--@include _delivery.lua
--@include _dead.lua

-- Slashes may be escaped, as in JSON. An address with '/', '?' or '#' in the password is invalid; the password is
-- hidden too. Each pattern is linear in the text, which may be hostile: its parts are disjoint or anchored.
local function without_user_info(text)
  if not string.find(text, '@', 1, true) then return text end
  local hidden = string.gsub(text, '([/\\])()([^%s"/\\?#]+)', function(slash, at, part)
    local rest = string.find(string.sub(text, at - 2, at - 2), '[/\\]') and string.match(part, '^.*@(.*)$')
    return rest and slash .. '…@' .. rest
  end)
  return (string.gsub(hidden, '[^%s"]+', function(word)
    local rest = string.match(word, '^.*@(.*)$')
    local first = rest and (string.find(word, '[/\\][/\\]') or string.match(word, '^%a+:()'))
    local slashes, authority = string.match(word, '^([/\\]*)([^/\\?#]*)', first or 1)
    if first and string.find(authority, '^[^%[@:]*:[^%d]') then
      return string.sub(word, 1, first - 1) .. slashes .. '…@' .. rest
    end
  end))
end

local lane, dead, events, job = KEYS[1], KEYS[2], KEYS[3], KEYS[5]
check_type(lane, 'stream')
check_type(dead, 'stream')
check_type(events, 'stream')
check_room(events)
if #redis.call('XPENDING', lane, ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return { 'lost' } end

local max_bytes, now = tonumber(ARGV[9]), now_ms()
local is_known, has_result = redis.call('EXISTS', job) == 1, redis.call('EXISTS', KEYS[4]) == 1
local is_old = tonumber(string.match(ARGV[3], '^%d+')) < now - 1000 * tonumber(ARGV[17])
if ARGV[16] == '1' and not is_known and (has_result or is_old) then
  drop_entry(lane, ARGV[1], ARGV[3])
  return { 'ended' }
end
local is_anothers = is_known or has_result
local job_id = is_anothers and ARGV[14] or ARGV[4]
local found = redis.call('XRANGE', lane, ARGV[3], ARGV[3])[1]
local row = { 'id', job_id, 'lane', ARGV[5], 'attempts', '0', 'error', ARGV[13], 'reason', ARGV[6], 'worker', ARGV[2] }
local fields = found and found[2] or {}
for i = 1, math.min(#fields, 64), 2 do -- 32 fields are enough to recognise it
  local name, value = string.sub(fields[i], 1, 200), without_user_info(string.sub(fields[i + 1], 1, max_bytes))
  if #fields[i + 1] > max_bytes then
    value = value .. '… cut, it had ' .. #fields[i + 1] .. ' bytes'
  end
  if name ~= 'kind' and name ~= 'payload' and name ~= 'args' then name = 'raw:' .. name end
  row[#row + 1] = name
  row[#row + 1] = value
end
redis.call('XADD', dead, 'MAXLEN', '~', ARGV[10], '*', unpack(row))
if ARGV[11] ~= '' and not is_anothers then redis.call('SET', KEYS[4], ARGV[11], 'EX', ARGV[12]) end
drop_entry(lane, ARGV[1], ARGV[3])
local line = stamped(string.sub(ARGV[7], 1, -2) .. ',"job_id":' .. cjson.encode(job_id) .. '}', now)
add_event(events, line)
redis.call('PUBLISH', ARGV[8], line)
return { 'committed', bound_letters(dead, ARGV[10], tonumber(ARGV[15])) }
