#!lua flags=allow-oom
-- none → waiting | holding. Repeated with a known token, it returns that call's status and confirms a grant.
-- KEYS  as in _gpu.lua
-- ARGV  1 token  2 kind: chat | embed  3 priority: interactive | batch  4 worker  5 job id or ''  6 channel of wakes
--       7 hosts that may serve it, JSON: host → {chat, embed}; unknown ones are registered
--       8 seq of an earlier wait, which keeps its position, or 0  9 lease ms  10 confirm ms  11 grace ms of hosts down
--       12 '1': while it holds a slot, it may be asked to yield it to an interactive call
-- Returns {'granted', host, seq, Redis ms} | {'waiting', '', seq, Redis ms} | {'unserved', '', seq, Redis ms} if all hosts
--       have been down for long: then the call does not wait
--@include _common.lua
--@include _gpu.lua

check_pool_types()
local token, now = ARGV[1], now_ms()
local wanted = cjson.decode(ARGV[7])
local lease_ms, confirm_ms = tonumber(ARGV[9]), tonumber(ARGV[10])
prune(now, lease_ms)

local hosts, names = read_hosts(), {}
for name, slots in pairs(wanted) do
  hosts[name] = hosts[name] or enrol_host(name, slots, now)
  names[#names + 1] = name
end

local call = read_call(token)
local is_new = not call
if is_new then
  local seq = tonumber(ARGV[8])
  if seq == 0 then seq = redis.call('HINCRBY', STATE, 'seq', 1) end
  call = { kind = ARGV[2], priority = ARGV[3], worker = ARGV[4], job = ARGV[5], channel = ARGV[6], hosts = names,
    seq = seq, asked_ms = now, lease_ms = lease_ms, gives_way = ARGV[12] == '1' or nil }
  if nobody_serves(call, hosts, now, tonumber(ARGV[11])) then return { 'unserved', '', seq, ms(now) } end
  write_call(token, call)
  redis.call('ZADD', WAITERS, ms(now + lease_ms), token)
  redis.call('ZADD', queue_of(call), seq, token)
end
confirm(token, call, now, lease_ms)
dispatch(hosts, now, lease_ms, confirm_ms, token)

call = read_call(token)
if call.host then return { 'granted', call.host, call.seq, ms(now) } end
if is_new and call.priority == 'interactive' then ask_for_way(call, hosts) end
return { 'waiting', '', call.seq, ms(now) }
