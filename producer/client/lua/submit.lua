#!lua
-- none → queued | scheduled. Refuses duplicates and a full queue; writes nothing when it refuses.
-- KEYS  1 job hash  2 lane stream  3 scheduled zset  then the batch hash (only with a batch), then the secret hash
--       (only with secrets), or the result string (only if an ended job frees its id; it has neither)
-- ARGV  1 job id  2 kind  3 lane  4 payload JSON  5 positional arguments JSON or ''
--       6 delay ms, negative = it is overdue by that, or '@' and the Redis ms at which it is due
--       7 tries, 0 = the worker's default  8 batch id or ''  9 nonce or ''  10 backlog limit of the lane
--       11 memory limit as a share of maxmemory, 0 = unchecked by this call
--       12 ms until it expires, 0 = never  13 attempts already counted  14 '1': an ended job without a result frees its
--       id
--       15… with secrets: field, value, … of the secret hash, kept for 1 day at most
-- Returns {'created'} | {'duplicate', state} | {'sealed'} | {'full', 'backlog' | 'memory', have, limit}
--         | {'last_id'}  the lane is at its last possible id and accepts no more entries
--   A duplicate with this call's nonce is a repetition of it: 'created'.
--@include _common.lua
--@include _lane.lua

local job, lane, scheduled = KEYS[1], KEYS[2], KEYS[3]
local batch = ARGV[8] ~= '' and KEYS[4] or nil
local secret = ARGV[15] and KEYS[#KEYS] or nil
local delay_ms = tonumber(ARGV[6]) or string.sub(ARGV[6], 2) - now_ms()

-- In a script, the overhead of a call exceeds the command's own time: a new job, the common case, needs four calls. A
-- read reveals the type as well as TYPE does, and is needed anyway.
local held = redis.call('EXISTS', job) == 1 and redis.pcall('HMGET', job, 'state', 'nonce', 'kind') or {}
local backlog = redis.pcall('XLEN', lane)
if held.err then check_type(job, 'hash') end
if type(backlog) == 'table' then check_type(lane, 'stream') end
if delay_ms > 0 then check_type(scheduled, 'zset') end
if batch then check_type(batch, 'hash') end
if secret then check_type(secret, 'hash') end

-- The fence is kept: a late commit of the previous job must not count as one of this job.
local fence = '0'
if ARGV[14] == '1' and is_final(held[1]) and (ARGV[9] == '' or held[2] ~= ARGV[9]) and redis.call('EXISTS', KEYS[4]) == 0 then
  fence, held = redis.call('HGET', job, 'fence') or '0', {}
end
if held[1] or held[3] then
  redis.call('HSET', job, 'seen_ms', ms(now_ms())) -- always a write, so that WAITAOF on this connection is meaningful
  if ARGV[9] ~= '' and held[2] == ARGV[9] then return { 'created' } end
  return { 'duplicate', held[1] or '' }
end
if batch and redis.call('HGET', batch, 'sealed') == '1' then return { 'sealed' } end

if backlog >= tonumber(ARGV[10]) then return { 'full', 'backlog', backlog, tonumber(ARGV[10]) } end
local share = tonumber(ARGV[11])
if share > 0 then
  local info = redis.call('INFO', 'memory')
  local used = tonumber(string.match(info, 'used_memory:(%d+)'))
  local limit = tonumber(string.match(info, 'maxmemory:(%d+)'))
  if limit > 0 and used > limit * share then return { 'full', 'memory', used, limit } end
end

local state, entry, enqueued_ms = 'queued', '', nil
if delay_ms > 0 then
  local now = now_ms()
  state, enqueued_ms = 'scheduled', ms(now)
  redis.call('ZADD', scheduled, ms(now + delay_ms), ARGV[1])
else
  entry = redis.pcall('XADD', lane, '*', 'id', ARGV[1], 'kind', ARGV[2])
  if entry.err then return string.find(entry.err, 'last possible ID') and { 'last_id' } or entry end
  if batch then note_batched(lane) end
  enqueued_ms = string.match(entry, '^%d+') -- the id has the time, unless one of the year 2287 or later was added by hand
  if #enqueued_ms > 13 then enqueued_ms = ms(now_ms()) end
end
local fields = { 'kind', ARGV[2], 'state', state, 'lane', ARGV[3], 'attempt', ARGV[13], 'fence', fence,
  'enqueued_ms', enqueued_ms, 'entry', entry, 'payload', ARGV[4] }
local count = #fields
local function also(name, value)
  fields[count + 1], fields[count + 2], count = name, value, count + 2
end
if ARGV[5] ~= '' then also('args', ARGV[5]) end
if ARGV[7] ~= '0' then also('tries', ARGV[7]) end
if batch then also('batch', ARGV[8]) end
if ARGV[9] ~= '' then also('nonce', ARGV[9]) end
if state == 'scheduled' and tonumber(ARGV[6]) then also('delay_ms', ms(delay_ms)) end -- see clock_back.lua
if delay_ms ~= 0 and ARGV[14] == '1' then also('due_ms', ms(enqueued_ms + delay_ms)) end
if ARGV[12] ~= '0' then also('expires_ms', ms(tonumber(enqueued_ms) + tonumber(ARGV[12]))) end
if secret then also('secrets', '1') end
if ARGV[14] == '1' then redis.call('DEL', job) end -- remains of an ended job, including its expiry
redis.call('HSET', job, unpack(fields))
if batch then
  redis.call('HSETNX', batch, 'created_ms', enqueued_ms)
  redis.call('HINCRBY', batch, 'total', 1)
end
if secret then
  redis.call('HSET', secret, unpack(ARGV, 15))
  redis.call('EXPIRE', secret, 86400)
end
return { 'created' }
