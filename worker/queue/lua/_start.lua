-- Starts entries; shared by start.lua, start_read.lua and claim.lua. Needs _common.lua, _lane.lua and _delivery.lua first.
-- The return value is described in start.lua.

local now = ms(now_ms())

local function held_of(job)
  return redis.pcall('HMGET', job, 'state', 'entry', 'attempt', 'tries', 'payload', 'args', 'batch', 'enqueued_ms',
    'cancel_ms', 'error', 'v', 'fence', 'expires_ms', 'due_ms')
end

-- A count or a time from the job's hash; nil if the field is no number, or no time that the worker can represent.
local function whole(text)
  return text and string.match(text, '^%d+$') and #text <= 14 and tonumber(text) or nil
end

-- Whether a start by this consumer has already counted the attempt.
local function is_counted(job, consumer, state, fence)
  if state ~= 'running' then return false end
  local by = redis.call('HMGET', job, 'worker', 'exhausted')
  return by[1] == consumer and by[2] ~= fence
end

-- Raises the fence and counts the attempt of a job that holds these fields, of an entry that is pending for the consumer.
local function run(consumer, job, held, own_tries, again)
  local tries, fence = whole(held[4]) or tonumber(own_tries), (whole(held[12]) or 0) + 1
  local verdict, attempt = 'run', (whole(held[3]) or 0) + 1
  if again == '1' and is_counted(job, consumer, held[1], held[12]) then
    attempt = attempt - 1
  elseif attempt > tries then
    verdict, attempt = 'exhausted', attempt - 1
    redis.call('HSET', job, 'exhausted', fence)
  end
  redis.call('HSET', job, 'state', 'running', 'worker', consumer, 'attempt', attempt, 'fence', fence, 'started_ms', now)
  return { verdict, fence, attempt, tries, held[5] or '', held[6] or '', held[7] or '',
    whole(held[8]) or now, held[9] and 1 or 0, held[10] or '', whole(held[11]) or 1, now, whole(held[13]) or 0, whole(held[14]) or 0 }
end

-- `own_tries`: those of the function; `payload`, `args`, `version`: of an entry added by hand, or ''; `again`: '1' if
-- the reply to an earlier start of this claim was lost.
local function start(group, consumer, lane, job, entry, kind, lane_name, own_tries, payload, args, version, again)
  local pending = redis.pcall('XPENDING', lane, group, entry, entry, 1, consumer)
  if pending.err then return pending end
  if #pending == 0 then return { 'lost' } end
  local held = held_of(job)
  if held.err then return wrong_type(job, 'hash') end
  if not held[1] then
    if payload == '' then return { 'missing' } end
    redis.call('HSET', job, 'kind', kind, 'lane', lane_name, 'enqueued_ms', now, 'entry', entry, 'payload', payload)
    if args ~= '' then redis.call('HSET', job, 'args', args) end
    if version ~= '' then redis.call('HSET', job, 'v', version) end
    held = { 'queued', entry, '0', false, payload, args, false, now, false, false, version, held[12] }
  elseif held[2] ~= entry or is_final(held[1]) then
    drop_entry(lane, group, entry)
    return { 'dropped', held[1] }
  end
  return run(consumer, job, held, own_tries, again)
end

-- The tries of a kind in ARGV from `at` on: tries of a function, then for each function with its own tries: kind, tries.
local function tries_of(kind, at)
  for i = at + 1, #ARGV, 2 do
    if ARGV[i] == kind then return ARGV[i + 1] end
  end
  return ARGV[at]
end

-- Starts a plain job of submit.lua whose entry is new to the consumer, and not for its last attempt, which a worker that
-- freezes before it gets the reply must not spend. Returns nil, and changes nothing, for all others: start.lua's part.
local function start_plain(consumer, job_prefix, entry, fields, tries_at)
  if #fields ~= 4 or fields[1] ~= 'id' or fields[3] ~= 'kind' then return nil end
  local job_id, kind = fields[2], fields[4]
  if not string.match(job_id, '^%w[%w_.-]*$') or #job_id > 128 or #kind < 1 or #kind > 100 then return nil end
  local job = job_prefix .. job_id
  local held, own_tries = held_of(job), tries_of(kind, tries_at)
  if held.err or held[1] ~= 'queued' or held[2] ~= entry then return nil end
  if (whole(held[3]) or 0) + 1 >= (whole(held[4]) or tonumber(own_tries)) then return nil end
  return run(consumer, job, held, own_tries, '')
end
