#!lua flags=allow-oom
-- queued → running, for the entry returned by the preceding blocking read on this connection: it is the newest one
-- pending for the consumer, new to it, and delivered once. Only plain jobs are started here (_start.lua). The worker
-- makes no claim of this lane meanwhile.
-- KEYS  1 lane stream
-- ARGV  1 group  2 consumer  3 prefix of job hashes' keys  4 the newest entry id of this lane known to the consumer
--       5 tries of a function, then for each function with its own tries: kind, tries
-- Returns {} | {entry id, job id, kind, start.lua's reply for an entry}
--@include _common.lua
--@include _lane.lua
--@include _delivery.lua
--@include _start.lua

local MOST = 100 -- max unknown entries examined; beyond them, the newest is not found

local lane, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local pending = redis.pcall('XPENDING', lane, group, '(' .. ARGV[4], '+', MOST, consumer)
if pending.err or #pending == 0 or #pending == MOST then return {} end
local entry, delivered = pending[#pending][1], pending[#pending][4]
local row = delivered == 1 and redis.call('XRANGE', lane, entry, entry)[1]
local started = row and start_plain(consumer, ARGV[3], entry, row[2], 5)
if not started then return {} end
return { entry, row[2][2], row[2][4], started }
