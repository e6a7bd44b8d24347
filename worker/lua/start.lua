#!lua flags=allow-oom
-- queued → running, for each of some entries that are pending for the consumer. Raises the fence and counts the attempt
-- before the run, so that a SIGKILL counts. An entry added by hand gets its job hash here. Each entry is judged by itself.
-- KEYS  two for each entry: lane stream, job hash
-- ARGV  1 group  2 consumer, then seven for each entry: entry id, kind, lane, tries of the function, payload of an entry
--       added by hand or '', its positional arguments JSON or '', its contract version or ''
-- Returns for each entry
--       {'run' | 'exhausted', fence, attempt, tries, payload, args or '', batch or '', enqueued ms, cancelled 0 | 1,
--        error or '', contract version, now ms}
--       | {'dropped', state}  the job has ended or moved on: the entry is acknowledged and deleted
--       | {'missing'}         no hash and no payload: bury it
--       | {'lost'}            pending for somebody else, or for nobody
--       | an error            a key of another type stands in the way, or the group is gone: nothing is changed
--@include _common.lua
--@include _delivery.lua

local now = ms(now_ms())

-- A count as the job's hash has it; nil where somebody wrote something else there.
local function whole(text)
  return text and string.match(text, '^%d+$') and #text <= 15 and tonumber(text) or nil
end

local function start(lane, job, entry, kind, lane_name, own_tries, payload, args, version)
  local pending = redis.pcall('XPENDING', lane, ARGV[1], entry, entry, 1, ARGV[2])
  if pending.err then return pending end
  if #pending == 0 then return { 'lost' } end
  local held = redis.pcall('HMGET', job, 'state', 'entry', 'attempt', 'tries', 'payload', 'args', 'batch',
    'enqueued_ms', 'cancel_ms', 'error', 'v', 'fence')
  if held.err then return wrong_type(job, 'hash') end
  if not held[1] then
    if payload == '' then return { 'missing' } end
    redis.call('HSET', job, 'kind', kind, 'lane', lane_name, 'enqueued_ms', now, 'entry', entry, 'payload', payload)
    if args ~= '' then redis.call('HSET', job, 'args', args) end
    if version ~= '' then redis.call('HSET', job, 'v', version) end
    held = { 'queued', entry, '0', false, payload, args, false, now, false, false, version, held[12] }
  elseif held[2] ~= entry or FINAL[held[1]] then
    drop_entry(lane, ARGV[1], entry)
    return { 'dropped', held[1] }
  end

  local tries, fence = whole(held[4]) or tonumber(own_tries), (whole(held[12]) or 0) + 1
  local verdict, attempt = 'run', (whole(held[3]) or 0) + 1
  if attempt > tries then
    verdict, attempt = 'exhausted', attempt - 1
  end
  redis.call('HSET', job, 'state', 'running', 'worker', ARGV[2], 'attempt', attempt, 'fence', fence, 'started_ms', now)
  return { verdict, fence, attempt, tries, held[5] or '', held[6] or '', held[7] or '',
    whole(held[8]) or now, held[9] and 1 or 0, held[10] or '', whole(held[11]) or 1, now }
end

local answers = {}
for i = 1, #KEYS / 2 do
  local a = 7 * i - 5
  answers[i] = start(KEYS[2 * i - 1], KEYS[2 * i], unpack(ARGV, a + 1, a + 7))
end
return answers
