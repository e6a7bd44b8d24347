#!lua flags=allow-oom
-- running → dead: the job is dead-lettered with its reason and attempts, and its result says so.
-- KEYS  1 lane stream  2 dead stream  3… as in _end.lua
-- ARGV  1 group  2 consumer  3 entry id  4 fence  5 job id  6 error type  7 reason  8 cap of the dead stream, 0 = no letter
--       9 its most bytes  10… as in _end.lua
-- Returns {'committed', length of the dead stream, or its cap if letters were dropped for their size} | {'already'} |
--       {'lost'}
--@include _common.lua
--@include _events.lua
--@include _payload.lua
--@include _end.lua
--@include _lane.lua
--@include _delivery.lua
--@include _dead.lua

local lane, dead, job = KEYS[1], KEYS[2], KEYS[3]
check_type(lane, 'stream')
check_type(dead, 'stream')
check_end(3)
local held = standing(lane, job, ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'dead')
if held ~= 'ok' then return held.err and held or { held } end

local kept = redis.call('HMGET', job, 'kind', 'lane', 'attempt', 'payload', 'args', 'tries', 'secrets')
if ARGV[8] ~= '0' then
  redis.call('XADD', dead, 'MAXLEN', '~', ARGV[8], '*', 'id', ARGV[5], 'kind', kept[1] or '', 'lane', kept[2] or '',
    'attempts', kept[3] or '0', 'error', ARGV[6], 'reason', ARGV[7], 'batch', ARGV[15], 'worker', ARGV[2],
    'payload', kept[4] or '', 'args', kept[5] or '', 'tries', kept[6] or '', 'secrets', kept[7] or '')
end
redis.call('HSET', job, 'error', ARGV[7])
drop_entry(lane, ARGV[1], ARGV[3])
end_job(3, 10, 'dead', now_ms())
return { 'committed', ARGV[8] == '0' and 0 or bound_letters(dead, ARGV[8], tonumber(ARGV[9])) }
