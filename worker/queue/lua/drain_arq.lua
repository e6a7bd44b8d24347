#!lua
-- none → queued | scheduled, from arq's own queue: submits the job (submit.lua) and removes it there in one step.
-- KEYS  those of submit.lua for a job that frees its id (4), then arq's: 5 queue zset  6 job string
--       7 in-progress string  8 retry string
-- ARGV  1 … 14 those of submit.lua  15 id in arq's queue  16 sha1 of the job string  17 score  18 retry string or ''
-- Returns submit.lua's reply; anything but {'created'} leaves arq's queue unchanged
--         | {'in_progress'} | {'changed'}  an arq worker has it, or has had it since it was read
--   A repeat of this call, known by its nonce, is {'created'}.

local function submit(KEYS, ARGV)
--@submit
end

local id = ARGV[15]
local score = redis.call('ZSCORE', KEYS[5], id)
if not score then
  return { redis.call('HGET', KEYS[1], 'nonce') == ARGV[9] and 'created' or 'changed' }
end
if redis.call('EXISTS', KEYS[7]) == 1 then return { 'in_progress' } end
local held = redis.call('GET', KEYS[6])
if not held or redis.sha1hex(held) ~= ARGV[16] or tonumber(score) ~= tonumber(ARGV[17])
  or (redis.call('GET', KEYS[8]) or '') ~= ARGV[18] then
  return { 'changed' }
end

local reply = submit({ unpack(KEYS, 1, 4) }, { unpack(ARGV, 1, 14) })
if reply[1] ~= 'created' then return reply end
redis.call('ZREM', KEYS[5], id)
redis.call('SET', KEYS[7], '1') -- arq's workers WATCH this key: the write stops one that is about to start the job
redis.call('DEL', KEYS[6], KEYS[7], KEYS[8])
return reply
