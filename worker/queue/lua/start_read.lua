#!lua flags=allow-oom
-- queued → running, for the entry returned by the preceding blocking read on this connection: it is the newest one
-- pending for the consumer, new to it, and delivered once. Only a plain job of submit.lua is started here, and not for
-- its last attempt, which a worker that froze during its read must not spend; all others are left to start.lua. The
-- worker makes no claim of this lane meanwhile.
-- KEYS  1 lane stream
-- ARGV  1 group  2 consumer  3 lane  4 prefix of job hashes' keys  5 the newest entry id of this lane known to the
--       consumer  6 tries of a function, then for each function with its own tries: kind, tries
-- Returns {} | {entry id, job id, kind, start.lua's reply for an entry}
--@include _common.lua
--@include _lane.lua
--@include _delivery.lua
--@include _start.lua

local MOST = 100 -- max unknown entries examined; beyond them, the newest is not found

local lane, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local pending = redis.pcall('XPENDING', lane, group, '(' .. ARGV[5], '+', MOST, consumer)
if pending.err or #pending == 0 or #pending == MOST then return {} end
local entry, delivered = pending[#pending][1], pending[#pending][4]
local row = delivered == 1 and redis.call('XRANGE', lane, entry, entry)[1]
local fields = row and row[2] or {}
if #fields ~= 4 or fields[1] ~= 'id' or fields[3] ~= 'kind' then return {} end

local job_id, kind = fields[2], fields[4]
if not string.match(job_id, '^%w[%w_.-]*$') or #job_id > 128 or #kind < 1 or #kind > 100 then return {} end
local job = ARGV[4] .. job_id
local held = redis.pcall('HMGET', job, 'state', 'entry', 'attempt', 'tries')
if held.err or held[1] ~= 'queued' or held[2] ~= entry then return {} end

local tries = ARGV[6]
for i = 7, #ARGV, 2 do
  if ARGV[i] == kind then tries = ARGV[i + 1] end
end
if (whole(held[3]) or 0) + 1 >= (whole(held[4]) or tonumber(tries)) then return {} end
return { entry, job_id, kind, start(group, consumer, lane, job, entry, kind, ARGV[3], tries, '', '', '', '') }
