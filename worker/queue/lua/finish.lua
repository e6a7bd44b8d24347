#!lua flags=allow-oom
-- running → succeeded | cancelled, for several deliveries of one consumer: the job's writes, result, acknowledgement,
-- state, batch counter and event, all in one step; PUBLISH last. Each delivery is fenced separately and committed
-- exactly once, so a call with a lost reply can be repeated.
-- KEYS  1 events stream, then for each delivery: lane stream, job hash, result string, secret hash,
--       batch hash (only with a batch), a key for each write, of PAGE several
-- ARGV  1 group  2 consumer  3 job ttl s, or 'result': that of its result, at least a minute  4 channel, then for each
--       delivery:
--       1 number of its keys  2 number of its arguments  3 entry id  4 fence  5 state after  6 result JSON
--       7 result ttl s, 0 = no expiry, -1 = no result kept  8 event JSON without its closing brace  9 batch id or ''
--       then for each write: its command, the number of values, the values:
--         HSET field value …   |  HINCRBY field by …  |  EXPIRE ttl_s, of a hash  |  XADD * event line
--         COUNTED counter field value …, of a hash: the same as HSET, and adds 1 to the counter
--         FORGET, of the job's own hash: drops payload and arguments
--         PUBLISH line, the key being its channel
--         HSETXX field value …, without effect on a missing hash
--         ENTRY id kind, of a lane: a further job's entry, followed by
--         JOB field value …, that job's hash
--         REPLACE sha1 text, of a string: without effect if it is gone or has another text, and so are all later writes
--         NEEDS field value, of a hash: without it the delivery is lost; the field is deleted
--         HAS field value, of a hash: the same, but the field is kept
--         WINDOW field began_ms ended_ms, of a hash: extends the field's period, 'began ended', to include this one; a
--           begin of 0 is unknown
--         PAGE number of its component barriers, …, of the page's hash and one of each (_barriers.lua), followed by
--         TALLY field field, of a hash: adds the numbers of new and fixed ones of the site, and by
--         NEWS line is_certain, of the events: an event that names the new ones; if there are none, only if it is certain
-- Returns for each delivery 'committed' | 'already' | 'lost' | 'changed', if PAGE expects another text: nothing of that
--       delivery is written, and it is to be sent with all of PAGE | an error for a key of another type, a counter that is
--       not a number, or a stream at its last id: then nothing of that delivery is written
--@include _common.lua
--@include _events.lua
--@include _lane.lua
--@include _payload.lua
--@include _delivery.lua
--@include _barriers.lua

local TYPES = { XADD = 'stream', ENTRY = 'stream', REPLACE = 'string', NEWS = 'stream' }
local events = KEYS[1]
check_type(events, 'stream')
local full = no_room(events)
local now = now_ms()
local now_text = ms(now)
local done, lines, secrets = {}, {}, {}

-- An error for a field of a hash that is to be increased and holds no number, else nil.
local function no_number(key, ...)
  local olds = redis.call('HMGET', key, ...)
  for i, field in ipairs({ ... }) do
    if olds[i] and not string.match(olds[i], '^-?%d+$') then
      return redis.error_reply('WRONGKEY ' .. key .. ' holds ' .. olds[i] .. ' in ' .. field .. ': expected a number')
    end
  end
end

local function counters(command, at, count)
  if command == 'COUNTED' then return ARGV[at + 2] end
  if command == 'TALLY' then return ARGV[at + 2], ARGV[at + 3] end
  local fields = {}
  for i = at + 2, at + 1 + count, 2 do fields[#fields + 1] = ARGV[i] end
  return unpack(fields)
end

local COUNTS = { HINCRBY = true, COUNTED = true, TALLY = true }

-- The obstacle to a delivery's writes, or nil and its page. `k` and `a` are the positions where its keys and arguments begin.
local function obstacle(k, a, first_write)
  if ARGV[a + 8] ~= '' then
    local wrong = wrong_type(KEYS[k + 4], 'hash')
    if wrong then return wrong end
  end
  local w, at, page, wrong = first_write, a + 9, nil, nil
  while w < k + ARGV[a] do
    local command, count = ARGV[at], tonumber(ARGV[at + 1])
    if command == 'PAGE' then
      page, wrong = open_page(w, at + 2)
      w = w + ARGV[at + 2]
    elseif command ~= 'TALLY' or page.own then -- an unchanged page is not tallied
      wrong = wrong_type(KEYS[w], TYPES[command] or 'hash') or (command == 'ENTRY' and no_room(KEYS[w]))
        or (COUNTS[command] and no_number(KEYS[w], counters(command, at, count)))
    end
    if wrong then return wrong end
    if (command == 'NEEDS' or command == 'HAS') and redis.call('HGET', KEYS[w], ARGV[at + 2]) ~= ARGV[at + 3] then return 'lost' end
    w, at = w + 1, at + 2 + count
  end
  return nil, page
end

-- Writes the hash of a job that the job at `by` queues when it ends: none → queued. Overwrites everything stored under
-- its id but the fence. The job is cancelled with the one that queues it.
local function add_job(job, entry, by, at, count)
  local fence = redis.call('HGET', job, 'fence') or '0'
  redis.call('DEL', job)
  redis.call('HSET', job, 'state', 'queued', 'entry', entry, 'attempt', '0', 'fence', fence, 'enqueued_ms', now_text,
    unpack(ARGV, at, at + count - 1))
  local cancelled = redis.call('HGET', by, 'cancel_ms')
  if cancelled then redis.call('HSET', job, 'cancel_ms', cancelled) end
end

local function add_line(line)
  redis.call('XADD', events, '*', 'event', line)
  lines[#lines + 1] = line
end

-- Extends the period in a field of a hash; replaces an invalid one. A begin of 0 is unknown; one after the stored end
-- belongs to a new use of the name and replaces the period.
local function widen(key, field, began, ended)
  local old = redis.call('HGET', key, field)
  local old_began, old_ended = string.match(old or '', '^(%d+) (%d+)$')
  if began == '0' then began = old_began or ended end
  if old_began and tonumber(began) <= tonumber(old_ended) then
    if tonumber(old_began) < tonumber(began) then began = old_began end
    if tonumber(old_ended) > tonumber(ended) then ended = old_ended end
  end
  local text = began .. ' ' .. ended
  if text ~= old then redis.call('HSET', key, field, text) end
end

local function write(k, a, first_write, page)
  local w, at, entry = first_write, a + 9, nil
  while w < k + ARGV[a] do
    local command, count = ARGV[at], tonumber(ARGV[at + 1])
    if command == 'COUNTED' then
      -- A single command: each one indexes the hash again.
      local number = (redis.call('HGET', KEYS[w], ARGV[at + 2]) or 0) + 1
      redis.call('HSET', KEYS[w], ARGV[at + 2], ms(number), unpack(ARGV, at + 3, at + 1 + count))
    elseif command == 'HINCRBY' then
      for i = at + 2, at + 1 + count, 2 do redis.call('HINCRBY', KEYS[w], ARGV[i], ARGV[i + 1]) end
    elseif command == 'ENTRY' then
      entry = redis.call('XADD', KEYS[w], '*', 'id', ARGV[at + 2], 'kind', ARGV[at + 3])
    elseif command == 'JOB' then
      add_job(KEYS[w], entry, KEYS[k + 1], at + 2, count)
    elseif command == 'REPLACE' then
      local held = redis.call('GET', KEYS[w])
      if not held or redis.sha1hex(held) ~= ARGV[at + 2] then return end
      redis.call('SET', KEYS[w], ARGV[at + 3], 'KEEPTTL')
    elseif command == 'NEEDS' then
      redis.call('HDEL', KEYS[w], ARGV[at + 2])
    elseif command == 'HAS' then -- only obstacle() checks it
    elseif command == 'FORGET' then
      drop_payload(KEYS[w])
    elseif command == 'HSETXX' then
      if redis.call('EXISTS', KEYS[w]) == 1 then redis.call('HSET', KEYS[w], unpack(ARGV, at + 2, at + 1 + count)) end
    elseif command == 'WINDOW' then
      widen(KEYS[w], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    elseif command == 'PAGE' then
      count_page(page, at + 2)
      w = w + ARGV[at + 2]
    elseif command == 'TALLY' then
      if page.appeared > 0 then redis.call('HINCRBY', KEYS[w], ARGV[at + 2], page.appeared) end
      if page.mended > 0 then redis.call('HINCRBY', KEYS[w], ARGV[at + 3], page.mended) end
    elseif command == 'NEWS' then
      if #page.news > 0 or ARGV[at + 3] == '1' then
        add_line(ARGV[at + 2] .. ',"components":[' .. table.concat(page.news, ',') .. ']}')
      end
    else
      redis.call(command, KEYS[w], unpack(ARGV, at + 2, at + 1 + count))
    end
    w, at = w + 1, at + 2 + count
  end
end

local function finish(k, a)
  local lane, job, result = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local entry, state, ttl_s, batch_id = ARGV[a + 2], ARGV[a + 4], ARGV[a + 6], ARGV[a + 8]
  local first_write = batch_id == '' and k + 4 or k + 5
  local held, had_error, had_progress = standing(lane, job, ARGV[1], ARGV[2], entry, ARGV[a + 3], state)
  if held ~= 'ok' then return held end
  local wrong, page = full, nil
  if not full then wrong, page = obstacle(k, a, first_write) end
  if wrong then return wrong end

  write(k, a, first_write, page)
  if ttl_s == '0' then
    redis.call('SET', result, ARGV[a + 5])
  elseif ttl_s ~= '-1' then
    redis.call('SET', result, ARGV[a + 5], 'EX', ttl_s)
  end
  redis.call('HSET', job, 'state', state, 'finished_ms', now_text)
  if had_error or had_progress then redis.call('HDEL', job, 'error', 'progress') end
  if ARGV[3] ~= 'result' then
    redis.call('EXPIRE', job, ARGV[3])
  elseif ttl_s ~= '0' then
    redis.call('EXPIRE', job, math.max(60, tonumber(ttl_s)))
  end
  secrets[#secrets + 1] = KEYS[k + 3]
  done[lane] = done[lane] or {}
  table.insert(done[lane], entry)
  add_line(ARGV[a + 7] .. ',"at_ms":' .. now_text .. '}')
  local batch_line = batch_id ~= '' and count_in_batch(KEYS[k + 4], batch_id, state, now, tonumber(ARGV[3]) or 604800)
  if batch_line then add_line(batch_line) end
  return 'committed'
end

local answers, k, a = {}, 2, 5
while k <= #KEYS do
  answers[#answers + 1] = finish(k, a)
  k, a = k + ARGV[a], a + ARGV[a + 1]
end
for lane, entries in pairs(done) do
  redis.call('XACK', lane, ARGV[1], unpack(entries))
  delete_entries(lane, unpack(entries))
end
if #secrets > 0 then
  redis.call('DEL', unpack(secrets))
  redis.call('XTRIM', events, 'MAXLEN', '~', EVENTS_KEPT)
end
for _, line in ipairs(lines) do redis.call('PUBLISH', ARGV[4], line) end
return answers
