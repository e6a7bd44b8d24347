#!lua flags=allow-oom
-- running → scheduled. The attempt stays spent; the reason is kept in the hash.
-- KEYS  1 lane stream  2 job hash  3 scheduled zset  4 events stream  5 only if the worker has no function for the
--       job's kind: zset of the jobs of this kind that wait for a worker that has one (wake.lua). The delay is then the
--       longest wait, from the first such start; another worker's run in between begins a new wait. With ARGV 11 instead:
--       zset of the jobs that wait for the end of a pause  6 and then the hash of the controls
-- ARGV  1 group  2 consumer  3 entry id  4 fence  5 job id  6 delay ms  7 error JSON  8 event JSON  9 channel
--       10 '1' = return the attempt  11 the control that must be resumed first, or ''; due at once if it was meanwhile
--       12 '1' = the next start ends a cancelled job, which therefore does not wait
-- Returns 'committed' | 'already' | 'lost' | 'overdue' (it has waited that long for a function; nothing is changed)
--@include _common.lua
--@include _events.lua
--@include _lane.lua
--@include _delivery.lua

local lane, job, scheduled, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check_type(lane, 'stream')
check_type(job, 'hash')
check_type(scheduled, 'zset')
check_type(events, 'stream')
if KEYS[5] then check_type(KEYS[5], 'zset') end
check_room(events)
local held, last_error = standing(lane, job, ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'scheduled')
if held ~= 'ok' then return held end

local now = now_ms()
local is_cancelled = ARGV[12] == '1' and redis.call('HEXISTS', job, 'cancel_ms') == 1
local due = now + (is_cancelled and 0 or tonumber(ARGV[6]))
if KEYS[6] then
  if redis.pcall('HEXISTS', KEYS[6], ARGV[11]) == 1 and not is_cancelled then
    redis.call('ZADD', KEYS[5], ms(due), ARGV[5])
    redis.call('PEXPIRE', KEYS[5], ms(tonumber(ARGV[6]) + 60000))
  else
    due = now
  end
elseif KEYS[5] and not is_cancelled then
  local fence, since = string.match(redis.call('HGET', job, 'no_function') or '', '^(%d+):(%d+)$')
  since = fence and tonumber(fence) == tonumber(ARGV[4]) - 1 and tonumber(since) or now
  since = math.min(since, now) -- later only if Redis's clock was set back
  due = since + tonumber(ARGV[6])
  if due <= now then return 'overdue' end
  redis.call('HSET', job, 'no_function', ARGV[4] .. ':' .. ms(since))
  redis.call('ZADD', KEYS[5], ms(due), ARGV[5])
  redis.call('PEXPIRE', KEYS[5], ms(tonumber(ARGV[6]) + 60000))
end
redis.call('ZADD', scheduled, ms(due), ARGV[5])
drop_entry(lane, ARGV[1], ARGV[3])
-- clock_back.lua needs the delay, and where it waits, if Redis's clock is set back meanwhile.
redis.call('HSET', job, 'state', 'scheduled', 'entry', '', 'error', ARGV[7], 'delay_ms', ms(due - now),
  'waits_in', KEYS[5] or '')
redis.call('HDEL', job, 'worker', 'progress')
if ARGV[10] == '1' then redis.call('HINCRBY', job, 'attempt', -1) end
-- A job that waits on for the same reason, at the cost of no attempt, has said so: a night's thousands that wait for the
-- scans before them would push everything else out of the stream.
if ARGV[10] ~= '1' or last_error ~= ARGV[7] then
  local line = stamped(ARGV[8], now)
  add_event(events, line)
  redis.call('PUBLISH', ARGV[9], line)
end
return 'committed'
