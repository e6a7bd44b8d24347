#!lua flags=allow-oom
-- Records the result of a health check: up ⇄ down. A healthy host is granted calls at once.
-- KEYS  as in _gpu.lua
-- ARGV  1 host  2 'up' | 'down'  3 reason or ''  4 lease ms  5 confirm ms  6 ms until the next check if it is down
-- Returns {changed 0 | 1, failures in a row} | {0, -1} for a host that is not registered
--@include _common.lua
--@include _gpu.lua

check_pool_types()
local now = now_ms()
prune(now, tonumber(ARGV[4]))
local hosts = read_hosts()
local host = hosts[ARGV[1]]
if not host then return { 0, -1 } end

local changed = host.state ~= ARGV[2]
if changed then host.since_ms = now end
host.state, host.reason, host.checked_ms = ARGV[2], ARGV[3], now
if ARGV[2] == 'up' then
  host.fails = 0
else
  host.fails = host.fails + 1
  host.probe_ms = now + tonumber(ARGV[6])
end
write_host(ARGV[1], host)
dispatch(hosts, now, tonumber(ARGV[4]), tonumber(ARGV[5]), '')
return { changed and 1 or 0, host.fails }
