#!lua
-- none → queued | scheduled. Refuses duplicates and a full queue; writes nothing when it refuses.
-- KEYS  1 job hash  2 lane stream  3 scheduled zset  then the batch hash (only with a batch), then the secret hash
--       (only with secrets)
-- ARGV  1 job id  2 kind  3 lane  4 payload JSON  5 positional arguments JSON or ''  6 delay ms
--       7 tries, 0 = the worker's own  8 batch id or ''  9 nonce or ''  10 backlog limit of the lane
--       11 memory limit as a share of maxmemory, 0 = unchecked by this call
--       12… with secrets: field, value, … of the secret hash, kept for 1 day at most
-- Returns {'created'} | {'duplicate', state} | {'sealed'} | {'full', 'backlog' | 'memory', have, limit}
--   A duplicate with the nonce of this call is this very submission, repeated: 'created'.
--@include _common.lua

local job, lane, scheduled = KEYS[1], KEYS[2], KEYS[3]
local batch = ARGV[8] ~= '' and KEYS[4] or nil
local secret = ARGV[12] and KEYS[#KEYS] or nil
local delay_ms = tonumber(ARGV[6])

-- A read tells the type as well as TYPE does, and is needed anyway.
local held = redis.pcall('HMGET', job, 'state', 'nonce', 'kind')
local backlog = redis.pcall('XLEN', lane)
if held.err then check_type(job, 'hash') end
if type(backlog) == 'table' then check_type(lane, 'stream') end
if delay_ms > 0 then check_type(scheduled, 'zset') end
if batch then check_type(batch, 'hash') end
if secret then check_type(secret, 'hash') end

local now = now_ms()
if held[1] or held[3] then
  redis.call('HSET', job, 'seen_ms', ms(now)) -- always a write: WAITAOF on this connection then means something
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

local state, entry = 'queued', ''
if delay_ms > 0 then
  state = 'scheduled'
  redis.call('ZADD', scheduled, ms(now + delay_ms), ARGV[1])
else
  entry = redis.call('XADD', lane, '*', 'id', ARGV[1], 'kind', ARGV[2])
end
local fields = { 'kind', ARGV[2], 'state', state, 'lane', ARGV[3], 'attempt', '0', 'fence', '0',
  'enqueued_ms', ms(now), 'entry', entry, 'payload', ARGV[4] }
local function also(name, value, none)
  if value ~= none then
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
end
also('args', ARGV[5], '')
also('tries', ARGV[7], '0')
also('batch', ARGV[8], '')
also('nonce', ARGV[9], '')
also('secrets', secret and '1' or '', '')
redis.call('HSET', job, unpack(fields))
if batch then
  redis.call('HSETNX', batch, 'created_ms', ms(now))
  redis.call('HINCRBY', batch, 'total', 1)
end
if secret then
  redis.call('HSET', secret, unpack(ARGV, 12))
  redis.call('EXPIRE', secret, 86400)
end
return { 'created' }
