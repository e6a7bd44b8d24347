#!lua flags=allow-oom
-- queued → running, for the entry that the blocking read before it on this connection has brought: it is the newest one
-- pending for the consumer, unknown to it until now, delivered once. Only a plain job of submit.lua is started here, and
-- not for its last attempt, which a worker that was frozen over its read must not spend; all else is left as it is, for
-- start.lua. The worker has no claim of this lane on its way meanwhile.
-- KEYS  1 lane stream
-- ARGV  1 group  2 consumer  3 lane  4 what job hashes' keys begin with  5 the newest entry id of this lane that the
--       consumer knows of  6 tries of a function, then for each function with tries of its own: kind, tries
-- Returns {} | {entry id, job id, kind, what start.lua returns for an entry}
--@include _common.lua
--@include _lane.lua
--@include _delivery.lua
--@include _start.lua

local MOST = 100 -- so many unknown ones, and the newest is not among those that are looked at

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
