#!lua flags=allow-oom
-- running → dead: the job, its reason and its attempts go to the dead-letter stream, with a result that says so.
-- KEYS  1 lane stream  2 job hash  3 result string  4 events stream  5 secret hash  6 dead stream
--       7 batch hash (only with a batch)
-- ARGV  1 group  2 consumer  3 entry id  4 fence  5 job id  6 result JSON  7 result ttl s  8 job ttl s  9 event JSON
--       10 channel  11 batch id or ''  12 error type  13 reason  14 cap of the dead stream
-- Returns {'committed', length of the dead stream} | {'already'} | {'lost'}
--@include _common.lua
--@include _events.lua
--@include _delivery.lua

local lane, job, result, events, secret, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local batch = ARGV[11] ~= '' and KEYS[7] or nil
check_type(lane, 'stream')
check_type(job, 'hash')
check_type(events, 'stream')
check_type(dead, 'stream')
if batch then check_type(batch, 'hash') end
local held = standing(lane, job, ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'dead')
if held ~= 'ok' then return held.err and held or { held } end

local now = now_ms()
local kept = redis.call('HMGET', job, 'kind', 'lane', 'attempt', 'payload', 'args', 'tries', 'secrets')
redis.call('XADD', dead, 'MAXLEN', '~', ARGV[14], '*', 'id', ARGV[5], 'kind', kept[1] or '', 'lane', kept[2] or '',
  'attempts', kept[3] or '0', 'error', ARGV[12], 'reason', ARGV[13], 'batch', ARGV[11], 'worker', ARGV[2],
  'payload', kept[4] or '', 'args', kept[5] or '', 'tries', kept[6] or '', 'secrets', kept[7] or '')
redis.call('SET', result, ARGV[6], 'EX', ARGV[7])
drop_entry(lane, ARGV[1], ARGV[3])
redis.call('HSET', job, 'state', 'dead', 'finished_ms', ms(now), 'error', ARGV[13])
redis.call('EXPIRE', job, ARGV[8])
redis.call('DEL', secret)
local line = stamped(ARGV[9], now)
add_event(events, line)
local batch_line = batch and count_in_batch(batch, ARGV[11], 'dead', now, ARGV[8])
if batch_line then add_event(events, batch_line) end
redis.call('PUBLISH', ARGV[10], line)
if batch_line then redis.call('PUBLISH', ARGV[10], batch_line) end
return { 'committed', redis.call('XLEN', dead) }
