-- Shared by the scripts of the GPU pool. Needs _common.lua first. All of them take the same KEYS:
--   1 hosts hash      host → JSON: chat and embed (slots), state up | down, fails, reason, since_ms, probe_ms, seen_ms
--   2 state hash      seq (arrivals), turns_chat and turns_embed (interactive grants in a row while batch waited),
--                     hold_ms_chat and hold_ms_embed (smoothed time that a call holds a slot); sums by kind and
--                     priority: grants_chat_batch …, wait_ms_chat_batch … (until granted), held_ms_chat_batch …
--   3 calls hash      token → JSON: kind, priority, worker, job, channel, hosts, seq, asked_ms, lease_ms (of its worker);
--                     of a holder also host, slot, granted_ms, confirmed; gives_way: it may be asked to yield its slot;
--                     asked: it was
--   4 holders zset    token → end of its lease, Redis ms
--   5 waiters zset    token → when it counts as dead, Redis ms
--   6-9 queue zsets   token → seq: chat interactive, chat batch, embed interactive, embed batch
-- A host without embed slots serves embeddings from its chat slots.

local HOSTS, STATE, CALLS, HOLDERS, WAITERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local QUEUES = {
  chat = { interactive = KEYS[6], batch = KEYS[7] },
  embed = { interactive = KEYS[8], batch = KEYS[9] },
}
local INTERACTIVE_IN_A_ROW = 4 -- the fifth goes to batch
local PAGE = 32

local function check_pool_types()
  for i = 1, 3 do check_type(KEYS[i], 'hash') end
  for i = 4, 9 do check_type(KEYS[i], 'zset') end
end

local function read_call(token)
  local text = redis.call('HGET', CALLS, token)
  return text and cjson.decode(text) or nil
end

local function write_call(token, call)
  redis.call('HSET', CALLS, token, cjson.encode(call))
end

local function queue_of(call)
  return QUEUES[call.kind][call.priority]
end

-- Hosts by name, each with the number of its slots in use.
local function read_hosts()
  local hosts, flat = {}, redis.call('HGETALL', HOSTS)
  for i = 1, #flat, 2 do
    local host = cjson.decode(flat[i + 1])
    host.used = { chat = 0, embed = 0 }
    hosts[flat[i]] = host
  end
  for _, token in ipairs(redis.call('ZRANGE', HOLDERS, 0, -1)) do
    local call = read_call(token)
    local host = call and hosts[call.host]
    if host then host.used[call.slot] = host.used[call.slot] + 1 end
  end
  return hosts
end

local function write_host(name, host)
  local kept = {}
  for field, value in pairs(host) do
    if field ~= 'used' then kept[field] = value end
  end
  redis.call('HSET', HOSTS, name, cjson.encode(kept))
end

local function enrol_host(name, slots, now)
  local host = { chat = slots.chat, embed = slots.embed, state = 'up', fails = 0, reason = '', since_ms = now,
    probe_ms = 0, seen_ms = now }
  write_host(name, host)
  host.used = { chat = 0, embed = 0 }
  return host
end

local function count(what, call, by)
  redis.call('HINCRBY', STATE, what .. '_' .. call.kind .. '_' .. call.priority, ms(by))
end

local function forget(token, now)
  local call = read_call(token)
  redis.call('ZREM', HOLDERS, token)
  redis.call('ZREM', WAITERS, token)
  if call then redis.call('ZREM', queue_of(call), token) end
  if call and call.host then count('held_ms', call, math.max(0, now - call.granted_ms)) end
  redis.call('HDEL', CALLS, token)
end

-- Gives a holder a full lease from now.
local function confirm(token, call, now, lease_ms)
  if not call.host then return end
  if not call.confirmed then
    call.confirmed = true
    write_call(token, call)
  end
  redis.call('ZADD', HOLDERS, ms(now + lease_ms), token)
end

-- Drops every holder whose lease has ended and every waiter that was silent for too long. No lease ends later than a
-- full lease of its worker from now unless Redis's clock was set back: then it counts from now. Workers of another
-- release may have longer leases than this one.
local function prune(now, lease_ms)
  for _, set in ipairs({ HOLDERS, WAITERS }) do
    local late = redis.call('ZRANGEBYSCORE', set, '(' .. ms(now + lease_ms), '+inf', 'WITHSCORES')
    for i = 1, #late, 2 do
      local call = read_call(late[i])
      local last = now + (call and call.lease_ms or lease_ms)
      if tonumber(late[i + 1]) > last then redis.call('ZADD', set, ms(last), late[i]) end
    end
    for _, token in ipairs(redis.call('ZRANGEBYSCORE', set, '-inf', ms(now))) do forget(token, now) end
  end
end

local function slot_for(kind, host)
  if kind == 'embed' and host.embed > 0 then return 'embed' end
  return 'chat'
end

-- The least loaded host that can take this call on a free slot of this kind; ties go to the first by name, which has
-- the model loaded.
local function free_host(call, slot, hosts)
  local best, best_load
  for _, name in ipairs(call.hosts) do
    local host = hosts[name]
    if host and host.state == 'up' and slot_for(call.kind, host) == slot and host.used[slot] < host[slot] then
      local load = (host.used.chat + host.used.embed) / (host.chat + host.embed)
      if not best or load < best_load or (load == best_load and name < best) then
        best, best_load = name, load
      end
    end
  end
  return best
end

local function any_free(slot, hosts, kind)
  for _, host in pairs(hosts) do
    local fits = kind == nil or slot_for(kind, host) == slot
    if fits and host.state == 'up' and host.used[slot] < host[slot] then return true end
  end
  return false
end

-- Whether a grant would be received. A dead worker is no longer subscribed: its waiters are skipped.
local function hears(channel, heard)
  if heard[channel] == nil then heard[channel] = redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0 end
  return heard[channel]
end

-- The first call in one queue that a free slot of this kind can serve.
local function first_in(queue, slot, pass)
  local from = 0
  while true do
    local tokens = redis.call('ZRANGE', queue, from, from + PAGE - 1)
    for _, token in ipairs(tokens) do
      local call = read_call(token)
      local host = call and free_host(call, slot, pass.hosts)
      if host and (token == pass.own or hears(call.channel, pass.heard)) then
        return { token = token, call = call, host = host }
      end
    end
    if #tokens < PAGE then return nil end
    from = from + PAGE
  end
end

local function first_of(priority, slot, pass)
  local first
  for kind, queues in pairs(QUEUES) do
    local found = any_free(slot, pass.hosts, kind) and first_in(queues[priority], slot, pass)
    if found and (not first or found.call.seq < first.call.seq) then first = found end
  end
  return first
end

-- First come, first served within a priority; interactive first, but while both wait every fifth grant is batch's.
local function next_for(slot, pass)
  local interactive, batch = first_of('interactive', slot, pass), first_of('batch', slot, pass)
  local field = 'turns_' .. slot
  if interactive and batch then
    local turns = tonumber(redis.call('HGET', STATE, field) or 0)
    if turns < INTERACTIVE_IN_A_ROW then
      redis.call('HSET', STATE, field, turns + 1)
      return interactive
    end
  end
  if batch then redis.call('HSET', STATE, field, 0) end
  return batch or interactive
end

-- Grants every free slot to the next call and wakes the waiters with `MS TOKEN HOST`, so that they call without asking
-- again. `own` is the token of the call that runs this script: it reads its grant in the reply, needs no message and has
-- a full lease at once; the others must confirm within `confirm_ms`.
local function dispatch(hosts, now, lease_ms, confirm_ms, own)
  local pass, wake = { hosts = hosts, heard = {}, own = own }, {}
  for _, slot in ipairs({ 'chat', 'embed' }) do
    while any_free(slot, hosts) do
      local found = next_for(slot, pass)
      if not found then break end
      local call, token = found.call, found.token
      call.host, call.slot, call.granted_ms, call.confirmed = found.host, slot, now, token == own
      redis.call('ZREM', queue_of(call), token)
      redis.call('ZREM', WAITERS, token)
      redis.call('ZADD', HOLDERS, ms(now + (call.confirmed and lease_ms or confirm_ms)), token)
      write_call(token, call)
      count('grants', call, 1)
      count('wait_ms', call, math.max(0, now - call.asked_ms))
      hosts[found.host].used[slot] = hosts[found.host].used[slot] + 1
      if not call.confirmed then wake[#wake + 1] = { call.channel, ms(now) .. ' ' .. token .. ' ' .. found.host } end
    end
  end
  for _, message in ipairs(wake) do redis.call('PUBLISH', message[1], message[2]) end
end

-- Asks one batch call to yield its slot to an interactive one that has just begun to wait: the call that began last, so
-- that the least work is lost. Its worker cancels and repeats it; if the message is lost, the interactive call waits
-- its turn.
local function ask_for_way(call, hosts)
  local may_serve, token, chosen = {}, nil, nil
  for _, name in ipairs(call.hosts) do may_serve[name] = hosts[name] end
  for _, held in ipairs(redis.call('ZRANGE', HOLDERS, 0, -1)) do
    local other = read_call(held)
    local host = other and may_serve[other.host]
    if host and other.priority == 'batch' and other.gives_way and not other.asked
      and slot_for(call.kind, host) == other.slot and (not chosen or other.granted_ms > chosen.granted_ms) then
      token, chosen = held, other
    end
  end
  if not token then return end
  chosen.asked = true
  write_call(token, chosen)
  redis.call('PUBLISH', chosen.channel, 'give-way ' .. token)
end

-- Whether all hosts of a call have been down for longer than `grace_ms`, so that it will not be served soon.
local function nobody_serves(call, hosts, now, grace_ms)
  for _, name in ipairs(call.hosts) do
    local host = hosts[name]
    if not host or host.state == 'up' or now - host.since_ms < grace_ms then return false end
  end
  return true
end
