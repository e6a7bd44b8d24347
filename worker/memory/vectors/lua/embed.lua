#!lua
-- a document without a generation's vector → with it, unless its text has changed.
-- KEYS  1 document hash
-- ARGV  1 text that was embedded  2 number of the generation, or 'never' for a document without a text
--       3 vector field, or '' for a text that the model refuses  4 vector
--       5 field of the note  6 why there is no vector for the whole text, or ''
-- Returns 1 if it was written, else 0
--@include _common.lua

check_type(KEYS[1], 'hash')
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local held = redis.call('HMGET', KEYS[1], 'text', 'embedded')
-- The page was scanned again, or the memory rewritten: the next pass finds the new text.
if (held[1] or '') ~= ARGV[1] then return 0 end
local has = held[2] or ''
if not string.find(',' .. has .. ',', ',' .. ARGV[2] .. ',', 1, true) then
  has = has == '' and ARGV[2] or has .. ',' .. ARGV[2]
end
if ARGV[6] == '' then
  redis.call('HDEL', KEYS[1], ARGV[5])
else
  redis.call('HSET', KEYS[1], ARGV[5], ARGV[6])
end
if ARGV[3] == '' then
  redis.call('HSET', KEYS[1], 'embedded', has)
else
  redis.call('HSET', KEYS[1], 'embedded', has, ARGV[3], ARGV[4])
end
return 1
