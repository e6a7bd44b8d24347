#!lua flags=allow-oom
-- Renews deliveries of one lane: resets the idle time of each that is still pending for this consumer under its fence.
-- XCLAIM … JUSTID resets the idle time without changing the delivery count.
-- KEYS  1 lane stream  2… job hashes
-- ARGV  1 group  2 consumer  then a pair for each job: entry id, fence
-- Returns a number for each job: 0 lost (or its hash is no longer a hash), 1 kept, 2 kept and to be cancelled

local verdicts = {}
for i = 2, #KEYS do
  local entry, fence = ARGV[2 * i - 1], ARGV[2 * i]
  local held = redis.pcall('HMGET', KEYS[i], 'fence', 'cancel_ms') -- an error has no fence, and ends no other lease
  local pending = held[1] == fence and redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1, ARGV[2]) or {}
  if #pending == 0 then
    verdicts[i - 1] = 0
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry, 'JUSTID')
    verdicts[i - 1] = held[2] and 2 or 1
  end
end
return verdicts
