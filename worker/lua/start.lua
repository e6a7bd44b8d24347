#!lua flags=allow-oom
-- queued → running, for the consumer the entry is pending for. Raises the fence and counts the attempt before the
-- run, so that a SIGKILL counts. An entry added by hand gets its job hash here.
-- KEYS  1 lane stream  2 job hash
-- ARGV  1 group  2 consumer  3 entry id  4 kind  5 lane  6 tries of the function  7 payload of an entry added by
--       hand or ''  8 its positional arguments JSON or ''  9 its contract version or ''
-- Returns {'run' | 'exhausted', fence, attempt, tries, payload, args or '', batch or '', enqueued ms, cancelled 0 | 1, error or '',
--          contract version, now ms}
--       | {'dropped', state}  the job has ended or moved on: the entry is acknowledged and deleted
--       | {'missing'}         no hash and no payload: bury it
--       | {'lost'}            pending for somebody else, or for nobody
--@include _common.lua
--@include _delivery.lua

local lane, job = KEYS[1], KEYS[2]
check_type(job, 'hash')
if #redis.call('XPENDING', lane, ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return { 'lost' } end

local held = redis.call('HMGET', job, 'state', 'entry', 'attempt', 'tries', 'payload', 'args', 'batch', 'enqueued_ms',
  'cancel_ms', 'error', 'v')
local now = now_ms()
if not held[1] then
  if ARGV[7] == '' then return { 'missing' } end
  redis.call('HSET', job, 'kind', ARGV[4], 'lane', ARGV[5], 'enqueued_ms', ms(now), 'entry', ARGV[3], 'payload', ARGV[7])
  if ARGV[8] ~= '' then redis.call('HSET', job, 'args', ARGV[8]) end
  if ARGV[9] ~= '' then redis.call('HSET', job, 'v', ARGV[9]) end
  held = { 'queued', ARGV[3], '0', false, ARGV[7], ARGV[8], false, ms(now), false, false, ARGV[9] ~= '' and ARGV[9] }
elseif held[2] ~= ARGV[3] or FINAL[held[1]] then
  drop_entry(lane, ARGV[1], ARGV[3])
  return { 'dropped', held[1] }
end

local tries = tonumber(held[4] or ARGV[6])
local fence = redis.call('HINCRBY', job, 'fence', 1)
local verdict, attempt = 'run', tonumber(held[3] or 0) + 1
if attempt > tries then
  verdict, attempt = 'exhausted', attempt - 1
end
redis.call('HSET', job, 'state', 'running', 'worker', ARGV[2], 'attempt', attempt, 'started_ms', ms(now))
return { verdict, fence, attempt, tries, held[5] or '', held[6] or '', held[7] or '', held[8] or ms(now),
  held[9] and 1 or 0, held[10] or '', tonumber(held[11]) or 1, ms(now) }
