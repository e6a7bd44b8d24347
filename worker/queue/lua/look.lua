#!lua flags=allow-oom
-- Detects lost entries of a lane by its counters: one worker at a time, whatever the backlog. Entries that the group
-- was moved past (XGROUP SETID) wait for their turn again. Missing entries (trimmed, deleted) leave only their number:
-- the caller searches the job hashes for their jobs.
-- KEYS  1 lane stream  2 waiting zset  3 turns hash
-- ARGV  1 group  2 min ms between two looks  3 min ms between two searches
-- Returns {entries that wait again} | {entries that wait again, missing entries, token of the search}
-- turns: deleted, the number of entries that Sightline's scripts deleted; looked_ms, searched_ms, the times of the last
-- look and search; looked_at, the entry where the next look continues.
--@include _common.lua

local MOST = 4000 -- entries examined in one look, in some 30 ms; all of a large backlog would block Redis for seconds

local function map(flat)
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

local lane, waiting, turns = KEYS[1], KEYS[2], KEYS[3]
local about = redis.pcall('XINFO', 'STREAM', lane)
local groups = redis.pcall('XINFO', 'GROUPS', lane)
local group
for _, info in ipairs(about.err and {} or groups) do
  local one = map(info)
  if one.name == ARGV[1] then group = one end
end
if not group then return { 0 } end -- the worker that creates the group also searches
about = map(about)
check_type(waiting, 'zset')
check_type(turns, 'hash')

local now, held = now_ms(), redis.call('HMGET', turns, 'deleted', 'looked_ms', 'searched_ms', 'now', 'looked_at')
-- A clock that was set back must not stop the search.
local function is_due(last, every_ms)
  local since = now - (tonumber(last) or 0)
  return since < 0 or since >= tonumber(every_ms)
end
if not is_due(held[2], ARGV[2]) then return { 0 } end
redis.call('HSET', turns, 'looked_ms', ms(now))

local gone = about['entries-added'] - about.length - (tonumber(held[1]) or 0)
local given = group.pending + redis.call('ZCARD', waiting)
local skipped = 0
if gone ~= 0 or not group.lag or about.length - group.lag ~= given then
  local pending = {}
  for _, row in ipairs(redis.call('XPENDING', lane, ARGV[1], '-', '+', math.max(group.pending, 1))) do pending[row[1]] = true end
  local from = string.match(held[5] or '', '^%d+%-%d+$') or '-'
  local rows = redis.call('XRANGE', lane, from, group['last-delivered-id'], 'COUNT', MOST)
  for _, row in ipairs(rows) do
    if not pending[row[1]] and not redis.call('ZSCORE', waiting, row[1]) then
      redis.call('ZADD', waiting, tonumber(held[4]) or 0, row[1])
      skipped = skipped + 1
    end
  end
  redis.call('HSET', turns, 'looked_at', #rows == MOST and rows[MOST][1] or '')
end
if gone == 0 or not is_due(held[3], ARGV[3]) then return { skipped } end
redis.call('HSET', turns, 'searched_ms', ms(now))
return { skipped, gone, ms(now) }
