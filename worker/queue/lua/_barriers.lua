-- Counts the component barriers of a page, in the step that commits its scan. A page's barriers are stored per terms
-- and compared with this scan's findings under the same terms: a repeat counts nothing, of two concurrent scans the
-- later is compared with the earlier, and a scan never fixes barriers that it did not check for. A page that has a
-- component under several terms counts once, with the most elements. Needs _common.lua first.

local function decoded(text)
  local is_json, value = pcall(cjson.decode, text or '')
  return is_json and type(value) == 'table' and value or {}
end

-- Arguments at `at`: terms, seen_ms, began_ms, group, its tag, run, is_first. A state has c: issue_id → elements, g and t: the
-- group and its tag.
local function open_page(key, at)
  local states, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local state = decoded(flat[i + 1])
    if type(state.c) == 'table' then states[flat[i]] = state end
  end
  local own = states[ARGV[at]] or { c = {} }
  states[ARGV[at]] = own
  return {
    key = key, states = states, own = own, terms = ARGV[at], seen = tonumber(ARGV[at + 1]), began = tonumber(ARGV[at + 2]),
    group = ARGV[at + 3], tag = ARGV[at + 4], run = ARGV[at + 5], is_first = ARGV[at + 6] == '1',
    is_changed = false, appeared = 0, mended = 0, news = {},
  }
end

local function close_page(page)
  if not page.is_changed then return end
  local own = page.own
  own.g, own.t = page.group ~= '' and page.group or nil, page.group ~= '' and page.tag or nil
  if next(own.c) then
    redis.call('HSET', page.key, page.terms, cjson.encode(own))
  else
    redis.call('HDEL', page.key, page.terms)
  end
end

-- The largest number of elements that a page has of a component under any terms, and its groups there: name → tag.
local function held_by(page, id, own_group, own_tag)
  local most, groups = 0, {}
  for _, state in pairs(page.states) do
    local count = tonumber(state.c[id]) or 0
    if count > 0 then
      most = math.max(most, count)
      local group, tag = state.g, state.t
      if state == page.own then group, tag = own_group, own_tag end
      if group and group ~= '' then groups[group] = tag end
    end
  end
  return most, groups
end

-- The groups of a component for its hash, after a page's groups changed from `before` to `after`: JSON and tags.
local function regrouped(groups, tags, before, after)
  local pages, is_tag = decoded(groups), {}
  for tag in string.gmatch(tags or '', '[^,]+') do is_tag[tag] = true end
  local function add(group, tag, by)
    local count = (tonumber(pages[group]) or 0) + by
    pages[group], is_tag[tag] = count > 0 and count or nil, count > 0 or nil
  end
  for group, tag in pairs(before) do if not after[group] then add(group, tag, -1) end end
  for group, tag in pairs(after) do if not before[group] then add(group, tag, 1) end end
  local list = {}
  for tag in pairs(is_tag) do list[#list + 1] = tag end
  table.sort(list)
  return next(pages) and cjson.encode(pages) or '{}', table.concat(list, ',')
end

-- Whether it was first seen by this run or batch, on a page that had been scanned before, and is in no event yet.
local function is_news(page, since, run, told, is)
  local is_new = since >= page.began or (page.run ~= '' and run == page.run)
  return is > 0 and is_new and not page.is_first and not (told and told >= since)
end

-- Arguments from `at` to `last`: issue_id, elements, never_less, known_ms, news, fields and values.
local function count_barrier(page, key, at, last)
  local id, count, known, own, seen = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3]), page.own, page.seen
  local old = tonumber(own.c[id]) or 0
  if ARGV[at + 2] == '1' then count = math.max(count, old) end
  if count == 0 and old == 0 then return end
  local kept = redis.call('HMGET', key, 'pages', 'elements', 'first_ms', 'since_ms', 'last_ms', 'groups', 'group_tags',
    'told_ms', 'run')
  local is_there = tonumber(kept[4]) ~= nil
  if count > 0 and seen > (tonumber(kept[5]) or 0) then redis.call('HSET', key, 'last_ms', ms(seen)) end
  if is_there and count == old and (own.g or '') == page.group then return end

  page.is_changed = true
  local was, before = held_by(page, id, own.g, own.t)
  own.c[id] = count > 0 and count or nil
  local is, after = held_by(page, id, page.group, page.tag)
  if not is_there then
    if is == 0 then return end
    was, before = 0, {}
  end
  local held = tonumber(kept[1]) or 0
  local pages = math.max(0, held + (is > 0 and 1 or 0) - (was > 0 and 1 or 0))
  -- A single HSET at the end: each one indexes the hash again.
  local fields, gone = { unpack(ARGV, at + 5, last) }, {}
  local function set(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
  local since, run = tonumber(kept[4]), kept[9]
  if not is_there or (held == 0 and is > 0) then
    since, run = seen, page.run
    if is_there then
      set('returned_ms', ms(seen))
      gone[1] = 'mended_ms'
    elseif known > 0 then
      since = math.min(known, seen)
    end
    if is_there or known == 0 then page.appeared = page.appeared + 1 end
    set('run', run)
  elseif known > 0 and known < since and not redis.call('HGET', key, 'returned_ms') then
    since = known -- its first page after an update of Sightline had no history; this one has
  end
  if pages == 0 and held > 0 then
    set('mended_ms', ms(seen))
    page.mended = page.mended + 1
  end
  if ARGV[at + 4] ~= '' and is_news(page, since, run, tonumber(kept[8]), is) then
    set('told_ms', ms(seen))
    page.news[#page.news + 1] = ARGV[at + 4]
  end
  local groups, tags = regrouped(kept[6], kept[7], before, after)
  if tags ~= '' then set('group_tags', tags) elseif kept[7] then gone[#gone + 1] = 'group_tags' end
  redis.call('HSET', key, 'pages', pages, 'elements', math.max(0, (tonumber(kept[2]) or 0) + is - was),
    'first_ms', ms(math.min(tonumber(kept[3]) or since, since)), 'since_ms', ms(since), 'groups', groups, unpack(fields))
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
end
