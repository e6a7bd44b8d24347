#!lua flags=allow-oom
-- granted → holding: the waiter has heard its grant and is about to call. Safe to repeat while it holds.
-- KEYS  as in _gpu.lua
-- ARGV  1 token  2 lease ms  3 confirm ms
-- Returns {'granted', host} | {'waiting', ''} | {'gone', ''}: the grant has passed on, or Redis forgot it; ask again
--@include _common.lua
--@include _gpu.lua

check_pool_types()
local token, now = ARGV[1], now_ms()
prune(now)
local call = read_call(token)
if call and call.host then
  if not call.confirmed then
    call.confirmed = true
    write_call(token, call)
  end
  redis.call('ZADD', HOLDERS, ms(now + tonumber(ARGV[2])), token)
end
dispatch(read_hosts(), now, tonumber(ARGV[2]), tonumber(ARGV[3]), '')

if not call then return { 'gone', '' } end
call = read_call(token)
return call.host and call.confirmed and { 'granted', call.host } or { 'waiting', '' }
