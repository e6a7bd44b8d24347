#!lua flags=allow-oom
-- holding | waiting → none; the slot is granted to the next call at once.
-- KEYS  as in _gpu.lua
-- ARGV  1 token  2 lease ms  3 confirm ms
-- Returns {'released' | 'withdrawn' | 'lost', Redis ms}; lost: the lease had already ended, and an answer under it is
--       void
--@include _common.lua
--@include _gpu.lua

check_pool_types()
local token, now = ARGV[1], now_ms()
prune(now, tonumber(ARGV[2]))
local call, verdict = read_call(token), 'lost'
if call then
  verdict = call.host and 'released' or 'withdrawn'
  forget(token, now)
  if call.host and call.confirmed then
    local field, held = 'hold_ms_' .. call.kind, now - call.granted_ms
    local before = tonumber(redis.call('HGET', STATE, field) or held)
    redis.call('HSET', STATE, field, ms(before + (held - before) / 5))
  end
end
dispatch(read_hosts(), now, tonumber(ARGV[2]), tonumber(ARGV[3]), '')
return { verdict, ms(now) }
