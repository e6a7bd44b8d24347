-- Counts the component barriers of a page, in the step that commits its scan. A page's barriers are stored per terms
-- and compared with this scan's findings under the same terms: a repeat counts nothing, of two concurrent scans the
-- later is compared with the earlier, and a scan never fixes barriers that it did not check for. A page that has a
-- component under several terms counts once, with the most elements. Needs _common.lua first.

-- Arguments of PAGE: the number of its component barriers, each of which has a key after the page's; terms; the text that
-- the page must have under them, and no more, or '' followed by the rest. The last is a JSON list of
--   [issue_id, elements, never_less, known_ms, is_grave, rule, its tag, impact, name], without a rule if it is gone.
local TERMS, UNCHANGED, SEEN, BEGAN, GROUP, GROUP_TAG, RUN, IS_FIRST, HOST, HOST_TAG, ROWS = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11

local function decoded(text)
  local is_json, value = pcall(cjson.decode, text or '')
  return is_json and type(value) == 'table' and value or {}
end

-- Reads what one row of the page changes: its number of elements now and before, and its component's hash; nil if it
-- changes nothing, or nil and an error.
local function changed_row(page, key, row)
  local count, old = row[2], tonumber(page.own.c[row[1]]) or 0
  if row[3] == 1 then count = math.max(count, old) end
  if count == old then
    if count == 0 then return end
    local is_there = (page.own.g or '') == page.group and redis.pcall('HEXISTS', key, 'since_ms')
    if is_there == 1 then return end
  end
  local kept = redis.pcall('HMGET', key, 'since_ms', 'pages', 'elements', 'first_ms', 'groups', 'group_tags', 'told_ms',
    'run', 'returned_ms', 'name', 'impact')
  if kept.err then return nil, wrong_type(key, 'hash') or kept end
  return { row = row, key = key, count = count, old = old, kept = kept }
end

-- Reads a page and its component barriers, or returns nil and an error or 'changed'. `w` and `at` are the positions of
-- the write's first key and argument. A state has c: issue_id → elements, g and t: the group and its tag.
local function open_page(w, at)
  local key, unchanged = KEYS[w], ARGV[at + UNCHANGED]
  local wrong = wrong_type(key, 'hash')
  if wrong then return nil, wrong end
  local page = { appeared = 0, mended = 0, news = {}, changes = {} }
  if unchanged ~= '' then
    if redis.call('HGET', key, ARGV[at + TERMS]) ~= unchanged then return nil, 'changed' end
    return page
  end

  page.states, page.is_single = {}, true
  page.key, page.terms, page.run = key, ARGV[at + TERMS], ARGV[at + RUN]
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local state = decoded(flat[i + 1])
    if type(state.c) == 'table' then
      page.states[flat[i]] = state
      page.is_single = page.is_single and flat[i] == page.terms
    end
  end
  page.seen, page.began = tonumber(ARGV[at + SEEN]), tonumber(ARGV[at + BEGAN])
  page.group, page.tag, page.is_first = ARGV[at + GROUP], ARGV[at + GROUP_TAG], ARGV[at + IS_FIRST] == '1'
  page.own = page.states[page.terms] or { c = {} }
  page.states[page.terms] = page.own

  for i, row in ipairs(cjson.decode(ARGV[at + ROWS])) do
    local one, obstacle = changed_row(page, KEYS[w + i], row)
    if obstacle then return nil, obstacle end
    page.changes[#page.changes + 1] = one
  end
  return page
end

local function close_page(page)
  local own = page.own
  own.g, own.t = page.group ~= '' and page.group or nil, page.group ~= '' and page.tag or nil
  if next(own.c) then
    redis.call('HSET', page.key, page.terms, cjson.encode(own))
  else
    redis.call('HDEL', page.key, page.terms)
  end
end

local NONE = {}

-- The largest number of elements that a page has of a component under any terms, and its groups there: name → tag.
-- `count`, `group` and `tag` are those under its own terms.
local function held_by(page, id, count, group, tag)
  if not group or group == '' then group = nil end
  if page.is_single then return count, count > 0 and group and { [group] = tag } or NONE end
  local most, groups = count, {}
  if count > 0 and group then groups[group] = tag end
  for _, state in pairs(page.states) do
    local others = state ~= page.own and tonumber(state.c[id]) or 0
    if others > 0 then
      most = math.max(most, others)
      if state.g and state.g ~= '' then groups[state.g] = state.t end
    end
  end
  return most, groups
end

-- The groups of a component for its hash, after a page's groups changed from `before` to `after`: JSON and tags; nil if
-- they did not.
local function regrouped(groups, tags, before, after)
  local pages, is_tag, is_changed = nil, {}, false
  local function add(group, tag, by)
    if not pages then
      pages = decoded(groups)
      for old in string.gmatch(tags or '', '[^,]+') do is_tag[old] = true end
    end
    local count = (tonumber(pages[group]) or 0) + by
    pages[group], is_tag[tag] = count > 0 and count or nil, count > 0 or nil
  end
  for group, tag in pairs(before) do if not after[group] then add(group, tag, -1) end end
  for group, tag in pairs(after) do if not before[group] then add(group, tag, 1) end end
  if not pages then return end
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

-- The entry of a row in the event: the JSON of ``ComponentChange``.
local function change(row)
  local impact = row[8] ~= '' and cjson.encode(row[8]) or 'null'
  return string.format('{"issue_id":%s,"name":%s,"rule":%s,"impact":%s}', cjson.encode(row[1]), cjson.encode(row[9]),
    cjson.encode(row[6]), impact)
end

-- Sets one changed row of the page in its component's hash, with a single HSET: each one indexes the hash again.
local function count_barrier(page, one, at)
  local row, key, count, old, kept = one.row, one.key, one.count, one.old, one.kept
  local id, known, own, seen = row[1], row[4], page.own, page.seen
  local since, held, told, run = tonumber(kept[1]), tonumber(kept[2]) or 0, tonumber(kept[7]), kept[8]
  local first, is_there = tonumber(kept[4]), since ~= nil

  local was, before = held_by(page, id, old, own.g, own.t)
  own.c[id] = count > 0 and count or nil
  local is, after = held_by(page, id, count, page.group, page.tag)
  if not is_there then
    if is == 0 then return end
    was, before = 0, NONE
  end
  local pages = math.max(0, held + (is > 0 and 1 or 0) - (was > 0 and 1 or 0))
  local fields, gone = { 'pages', pages, 'elements', math.max(0, (tonumber(kept[3]) or 0) + is - was) }, {}
  local function set(field, value)
    if value ~= '' then fields[#fields + 1], fields[#fields + 2] = field, value end
  end
  if row[6] and (not is_there or kept[10] ~= row[9] or (kept[11] or '') ~= row[8]) then
    local kind, site = string.match(id, '^([^-]*)%-?(.*)$')
    set('kind', kind)
    set('site', site)
    set('host', ARGV[at + HOST_TAG])
    set('host_name', ARGV[at + HOST])
    set('rule', row[7])
    set('impact', row[8])
    set('name', row[9])
  end
  local since_before = since
  if not is_there or (held == 0 and is > 0) then
    since, run = seen, page.run
    if is_there then
      set('returned_ms', ms(seen))
      gone[1] = 'mended_ms'
    elseif known > 0 then
      since = math.min(known, seen)
    end
    if is_there or known == 0 then page.appeared = page.appeared + 1 end
    fields[#fields + 1], fields[#fields + 2] = 'run', run
  elseif known > 0 and known < since and not kept[9] then
    since = known -- its first page after an update of Sightline had no history; this one has
  end
  if since ~= since_before then set('since_ms', ms(since)) end
  if not first or since < first then set('first_ms', ms(math.min(first or since, since))) end
  if pages == 0 and held > 0 then
    set('mended_ms', ms(seen))
    page.mended = page.mended + 1
  end
  if row[5] == 1 and is_news(page, since, run, told, is) then
    set('told_ms', ms(seen))
    page.news[#page.news + 1] = change(row)
  end
  local groups, tags = regrouped(kept[5], kept[6], before, after)
  if groups then
    set('groups', groups)
    if tags ~= '' then set('group_tags', tags) elseif kept[6] then gone[#gone + 1] = 'group_tags' end
  end
  redis.call('HSET', key, unpack(fields))
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end
end

-- Counts the changed rows of a page that open_page has read at the same argument.
local function count_page(page, at)
  for _, one in ipairs(page.changes) do count_barrier(page, one, at) end
  if #page.changes > 0 then close_page(page) end
end
