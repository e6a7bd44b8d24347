#!lua flags=allow-oom
-- Claims the health checks that are due, so that only one worker makes each.
-- KEYS  1 hosts hash
-- ARGV  1 ms until the next check of a host that is up  2 of a host that is down
--       3 min ms since the last claimed check, for an extra check, or -1 for a regular one  4… hosts
-- Returns the names of the hosts to check now
--@include _common.lua

check_type(KEYS[1], 'hash')
local now, due = now_ms(), {}
for i = 4, #ARGV do
  local text = redis.call('HGET', KEYS[1], ARGV[i])
  local host = text and cjson.decode(text)
  if host then
    local every = tonumber(host.state == 'up' and ARGV[1] or ARGV[2])
    local early = tonumber(ARGV[3]) >= 0 and host.probe_ms - every + tonumber(ARGV[3]) <= now
    local was_set_back = host.probe_ms > now + math.max(tonumber(ARGV[1]), tonumber(ARGV[2])) -- Redis's clock
    if early or was_set_back or host.probe_ms <= now then
      host.probe_ms = now + every
      redis.call('HSET', KEYS[1], ARGV[i], cjson.encode(host))
      due[#due + 1] = ARGV[i]
    end
  end
end
return due
