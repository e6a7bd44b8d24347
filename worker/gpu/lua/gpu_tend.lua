#!lua flags=allow-oom
-- A worker's heartbeat: renews its holders and waiters, keeps its hosts registered, prunes dead calls, grants free
-- slots.
-- KEYS  as in _gpu.lua
-- ARGV  1 lease ms  2 confirm ms  3 grace ms of hosts down  4 ms without a worker after which a host is removed
--       5 lifetime of all keys, ms  6 the worker's hosts, JSON: host → {chat, embed}  7 '1': their slots count from now
--       on
--       8 number of calls it holds  9… their tokens, then the tokens of waiting calls
-- Returns {ms until the next lease ends or -1, Redis ms, then for each token: 'held' | 'granted' (its waiter does not know
--         yet) |
--         'waiting' | 'unserved' (all its hosts are down for long) | 'cut' (its host is down: end the call) | 'gone'}
--@include _common.lua
--@include _gpu.lua

check_pool_types()
local now = now_ms()
local lease_ms, confirm_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
prune(now, lease_ms)

local hosts = read_hosts()
for name, slots in pairs(cjson.decode(ARGV[6])) do
  local host = hosts[name]
  if not host then
    hosts[name] = enrol_host(name, slots, now)
  elseif ARGV[7] == '1' then
    host.chat, host.embed, host.seen_ms = slots.chat, slots.embed, now
    write_host(name, host)
  elseif now - host.seen_ms > lease_ms then
    host.seen_ms = now
    write_host(name, host)
  end
end
for name, host in pairs(hosts) do
  if now - host.seen_ms > tonumber(ARGV[4]) and host.used.chat + host.used.embed == 0 then
    redis.call('HDEL', HOSTS, name)
    hosts[name] = nil
  end
end

local last_held = 8 + tonumber(ARGV[8])
for i = 9, #ARGV do
  local call = read_call(ARGV[i])
  if call and i <= last_held then
    confirm(ARGV[i], call, now, lease_ms)
  elseif call and not call.host then
    redis.call('ZADD', WAITERS, 'XX', ms(now + lease_ms), ARGV[i])
  end
end
dispatch(hosts, now, lease_ms, confirm_ms, '')

local first = redis.call('ZRANGE', HOLDERS, 0, 0, 'WITHSCORES')
local reply = { first[2] and math.max(0, tonumber(first[2]) - now) or -1, ms(now) }
for i = 9, #ARGV do
  local call = read_call(ARGV[i])
  local host = call and call.host and hosts[call.host]
  local verdict = 'gone'
  if host and call.confirmed then
    verdict = host.state == 'down' and host.fails > 1 and 'cut' or 'held'
  elseif call and call.host then
    verdict = 'granted'
  elseif call then
    verdict = nobody_serves(call, hosts, now, tonumber(ARGV[3])) and 'unserved' or 'waiting'
  end
  reply[#reply + 1] = verdict
end
for i = 1, 9 do redis.call('PEXPIRE', KEYS[i], ARGV[5]) end
return reply
