#!lua
-- dead → queued, attempts at zero; the dead letter is deleted. The fence is kept, so that an old delivery stays
-- refused. The replayed job belongs to no batch: its batch has counted it already. Secrets are not replayed, but the
-- fact that there were some is.
-- KEYS  1 dead stream  2 job hash  3 lane stream  4 result string
-- ARGV  1 entry id on the dead stream  2 job id  3 lane  4 nonce: a repetition of this call also returns 'queued'
-- Returns 'queued' | 'gone' (no such entry) | 'busy' (the job of that id is not dead)
--@include _common.lua

local dead, job, lane, result = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check_type(dead, 'stream')
check_type(job, 'hash')
check_type(lane, 'stream')

local found = redis.call('XRANGE', dead, ARGV[1], ARGV[1])[1]
if not found then return redis.call('HGET', job, 'nonce') == ARGV[4] and 'queued' or 'gone' end
local fields = {}
for i = 1, #found[2], 2 do fields[found[2][i]] = found[2][i + 1] end
local state = redis.call('HGET', job, 'state')
if state and state ~= 'dead' then return 'busy' end

local entry = redis.call('XADD', lane, '*', 'id', ARGV[2], 'kind', fields.kind or '')
redis.call('HSET', job, 'kind', fields.kind or '', 'state', 'queued', 'lane', ARGV[3], 'attempt', 0,
  'enqueued_ms', ms(now_ms()), 'entry', entry, 'payload', fields.payload or '', 'nonce', ARGV[4])
redis.call('HINCRBY', job, 'fence', 0)
if fields.args and fields.args ~= '' then redis.call('HSET', job, 'args', fields.args) end
if fields.tries and fields.tries ~= '' then redis.call('HSET', job, 'tries', fields.tries) end
if fields.secrets and fields.secrets ~= '' then redis.call('HSET', job, 'secrets', fields.secrets) end
redis.call('HDEL', job, 'batch', 'error', 'finished_ms', 'cancel_ms', 'worker', 'progress')
redis.call('PERSIST', job)
redis.call('DEL', result)
redis.call('XDEL', dead, ARGV[1])
return 'queued'
