-- Shared by cancel.lua and bury.lua, which end one job. Needs _common.lua, _events.lua and _payload.lua first.
-- KEYS from `k`: job hash, result string, events stream, secret hash, batch hash (only with a batch)
-- ARGV from `a`: result JSON, result ttl s (0 = no expiry, -1 = no result kept), job ttl s (0 = no expiry), event JSON,
--       channel, batch id or ''

local function check_end(k)
  check_type(KEYS[k], 'hash')
  check_type(KEYS[k + 2], 'stream')
  check_room(KEYS[k + 2])
  if KEYS[k + 4] then check_type(KEYS[k + 4], 'hash') end
end

-- Writes the job's state and result, the count of its batch, and the events of both; PUBLISH last.
local function end_job(k, a, state, now)
  local job, events, job_ttl_s, channel = KEYS[k], KEYS[k + 2], ARGV[a + 2], ARGV[a + 4]
  redis.call('HSET', job, 'state', state, 'finished_ms', ms(now))
  if redis.call('HSTRLEN', job, 'payload') + redis.call('HSTRLEN', job, 'args') > 2000 then
    drop_payload(job)
  end
  if job_ttl_s ~= '0' then redis.call('EXPIRE', job, job_ttl_s) end
  if ARGV[a + 1] == '0' then
    redis.call('SET', KEYS[k + 1], ARGV[a])
  elseif ARGV[a + 1] ~= '-1' then
    redis.call('SET', KEYS[k + 1], ARGV[a], 'EX', ARGV[a + 1])
  end
  redis.call('DEL', KEYS[k + 3])
  local line = stamped(ARGV[a + 3], now)
  add_event(events, line)
  local batch_line = KEYS[k + 4] and count_in_batch(KEYS[k + 4], ARGV[a + 5], state, now, job_ttl_s ~= '0' and job_ttl_s or '604800')
  if batch_line then add_event(events, batch_line) end
  redis.call('PUBLISH', channel, line)
  if batch_line then redis.call('PUBLISH', channel, batch_line) end
end
