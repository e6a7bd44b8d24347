#!lua flags=allow-oom
-- Keeps deliveries of one lane: resets the idle time of each that is still pending for this consumer under its fence.
-- XCLAIM … JUSTID resets idle and leaves the delivery count alone.
-- KEYS  1 lane stream  2… job hashes
-- ARGV  1 group  2 consumer  then a pair for each job: entry id, fence
-- Returns a number for each job: 0 lost (or its hash is none any more), 1 kept, 2 kept and to be cancelled

local verdicts = {}
for i = 2, #KEYS do
  local entry, fence = ARGV[2 * i - 1], ARGV[2 * i]
  local held = redis.pcall('HMGET', KEYS[i], 'fence', 'cancel_ms') -- an error has no fence: it ends no other's lease
  local pending = held[1] == fence and redis.call('XPENDING', KEYS[1], ARGV[1], entry, entry, 1, ARGV[2]) or {}
  if #pending == 0 then
    verdicts[i - 1] = 0
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry, 'JUSTID')
    verdicts[i - 1] = held[2] and 2 or 1
  end
end
return verdicts
