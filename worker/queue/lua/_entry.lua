-- Shared by the scripts that look for a job's entry. Needs _common.lua before it.

-- Whether entry id `a` comes after `b`. Compared as text: a double cannot hold 64 bits.
local function is_after(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  local function order(x, y)
    if #x ~= #y then return #x > #y and 1 or -1 end
    return x == y and 0 or (x > y and 1 or -1)
  end
  local by_ms = order(a_ms, b_ms)
  return by_ms > 0 or (by_ms == 0 and order(a_seq, b_seq) > 0)
end

-- The entry id that the group has read up to; nil where there is no group.
local function read_up_to(lane, group)
  local groups = redis.pcall('XINFO', 'GROUPS', lane)
  for _, info in ipairs(groups.err and {} or groups) do
    local about = {}
    for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
    if about.name == group then return about['last-delivered-id'] end
  end
end

-- Whether `entry` will never be delivered to a worker, nor is held by one: it is gone from the stream, or another job's
-- (ids begin again with a stream), or the group was moved past it and it waits for no turn.
local function is_entry_lost(lane, waiting, group, last_read, job_id, lane_name, entry)
  if not string.match(entry, '^%d+-%d+$') then return true end
  local was_read = last_read and not is_after(entry, last_read)
  local is_due = not was_read or redis.call('ZSCORE', waiting, entry)
  if not is_due and #redis.call('XPENDING', lane, group, entry, entry, 1) > 0 then return false end
  local there = redis.call('XRANGE', lane, entry, entry)[1]
  if not there then return true end
  local named = lane_name .. '-' .. entry -- the job of an entry that names none
  for i = 1, #there[2], 2 do
    if there[2][i] == 'id' then named = there[2][i + 1] end
  end
  if named ~= job_id then return true end
  if is_due then return false end
  redis.call('XDEL', lane, entry)
  return true
end
