#!lua
-- the record of generations → with a coming one; or, if the active one is wanted, without one.
-- KEYS  1 record hash
-- ARGV  1 the wanted shape: 768f16:model, or 768:model for 32-bit numbers
-- Returns { what, generation }:
--   'begun' | 'going on'   the coming generation has this shape
--   'busy'                 one with another shape is coming
--   'retired'              the rest of an earlier change must be removed first (its deletion was interrupted)
--   'given up'             the active one has this shape, and the coming one is retired unused
--   'same'                 the active one has this shape, and no change is in progress
--   'none'                 no worker has begun yet
--@include _common.lua

check_type(KEYS[1], 'hash')
local held = redis.call('HMGET', KEYS[1], 'active', 'coming', 'retired')
local active, coming, retired = held[1], held[2], held[3]

local function is_wanted(generation)
  return string.gsub(generation, '^%d+:', '') == ARGV[1]
end

if not active then return { 'none', '' } end
if retired then return { 'retired', retired } end
if is_wanted(active) then
  if not coming then return { 'same', active } end
  redis.call('HDEL', KEYS[1], 'coming')
  redis.call('HSET', KEYS[1], 'retired', coming)
  return { 'given up', coming }
end
if coming then return { is_wanted(coming) and 'going on' or 'busy', coming } end
-- A number is never used again: vectors that a slow worker writes under an old one are found and removed.
local begun = redis.call('HINCRBY', KEYS[1], 'count', 1) .. ':' .. ARGV[1]
redis.call('HSET', KEYS[1], 'coming', begun)
return { 'begun', begun }
