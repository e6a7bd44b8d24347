#!lua flags=allow-oom
-- queued → running, for several entries that are pending for the consumer. Raises the fence and counts the attempt
-- before the run, so that a SIGKILL counts. An entry added by hand gets its job hash here. Each entry is handled
-- separately.
-- KEYS  two for each entry: lane stream, job hash
-- ARGV  1 group  2 consumer, then eight for each entry: entry id, kind, lane, tries of the function, payload of an entry
--       added by hand or '', its positional arguments JSON or '', its contract version or '', '1' for a start that is
--       repeated because its reply was lost: the attempt is counted once
-- Returns for each entry
--       {'run' | 'exhausted', fence, attempt, tries, payload, args or '', batch or '', enqueued ms, cancelled 0 | 1,
--        error or '', contract version, now ms, expires ms or 0, due ms or 0}
--       | {'dropped', state}  the job has ended or moved on: the entry is acknowledged and deleted
--       | {'missing'}         no hash and no payload: reject it
--       | {'lost'}            pending for another consumer, or for none
--       | an error            a key has another type, or the group is gone: nothing is changed
--@include _common.lua
--@include _lane.lua
--@include _delivery.lua
--@include _start.lua

local answers = {}
for i = 1, #KEYS / 2 do
  local a = 8 * i - 6
  answers[i] = start(ARGV[1], ARGV[2], KEYS[2 * i - 1], KEYS[2 * i], unpack(ARGV, a + 1, a + 8))
end
return answers
