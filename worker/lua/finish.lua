#!lua flags=allow-oom
-- running → succeeded | cancelled, in one step: what the job wrote, its result, acknowledgement, state, batch counter
-- and event; PUBLISH last. Committed once whatever happens: repeat it after a lost reply.
-- KEYS  1 lane stream  2 job hash  3 result string  4 events stream  5 secret hash  6 batch hash (only with a batch)
--       then a key for each write
-- ARGV  1 group  2 consumer  3 entry id  4 fence  5 state after  6 result JSON  7 result ttl s, 0 = for ever,
--       -1 = no result kept  8 job ttl s  9 event JSON  10 channel  11 batch id or ''
--       then for each write: its command, how many values, the values:
--         HSET field value …   |  HINCRBY field by  |  EXPIRE ttl_s, of a hash
-- Returns 'committed' | 'already' | 'lost'
--@include _common.lua
--@include _delivery.lua

local lane, job, result, events, secret = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local batch = ARGV[11] ~= '' and KEYS[6] or nil
local first_write = batch and 7 or 6

check_type(lane, 'stream')
check_type(job, 'hash')
check_type(events, 'stream')
if batch then check_type(batch, 'hash') end
local at = 12
for k = first_write, #KEYS do
  local command, count = ARGV[at], tonumber(ARGV[at + 1])
  check_type(KEYS[k], 'hash')
  if command == 'HINCRBY' then
    local old = redis.call('HGET', KEYS[k], ARGV[at + 2])
    if old and not string.match(old, '^-?%d+$') then
      error({ err = 'WRONGKEY ' .. KEYS[k] .. ' holds ' .. old .. ' in ' .. ARGV[at + 2] .. ': expected a number' })
    end
  end
  at = at + 2 + count
end

local held = standing(lane, job, ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
if held ~= 'ok' then return held end

local now = now_ms()
at = 12
for k = first_write, #KEYS do
  local command, count = ARGV[at], tonumber(ARGV[at + 1])
  redis.call(command, KEYS[k], unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
if ARGV[7] == '0' then
  redis.call('SET', result, ARGV[6])
elseif ARGV[7] ~= '-1' then
  redis.call('SET', result, ARGV[6], 'EX', ARGV[7])
end
drop_entry(lane, ARGV[1], ARGV[3])
redis.call('HSET', job, 'state', ARGV[5], 'finished_ms', ms(now))
redis.call('HDEL', job, 'error')
redis.call('EXPIRE', job, ARGV[8])
redis.call('DEL', secret)
local line = stamped(ARGV[9], now)
add_event(events, line)
local batch_line = batch and count_in_batch(batch, ARGV[11], ARGV[5], now, ARGV[8])
if batch_line then add_event(events, batch_line) end
redis.call('PUBLISH', ARGV[10], line)
if batch_line then redis.call('PUBLISH', ARGV[10], batch_line) end
return 'committed'
