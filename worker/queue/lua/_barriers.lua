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
-- changes nothing, or nil and an error. Fields that few changes need are read with those: each one takes 0.2 µs.
local function changed_row(page, key, row)
  local count, old = row[2], tonumber(page.own.c[row[1]]) or 0
  if row[3] == 1 then count = math.max(count, old) end
  if count == old then
    if count == 0 then return end
    local is_there = page.own.g == page.group and redis.pcall('HEXISTS', key, 'since_ms')
    if is_there == 1 then return end
  end
  local kept = redis.pcall('HMGET', key, 'since_ms', 'pages', 'elements', 'name', 'impact', 'groups')
  if kept.err then return nil, wrong_type(key, 'hash') or kept end
  return { row = row, key = key, count = count, old = old, kept = kept }
end

-- Reads a page and its component barriers, or returns nil and an error or 'changed'. `w` and `at` are the positions of
-- the write's first key and argument. A state has c: issue_id → elements, g and t: the group and its tag.
local function open_page(w, at)
  local key, unchanged = KEYS[w], ARGV[at + UNCHANGED]
  local page = { appeared = 0, mended = 0, news = {}, changes = {} }
  if unchanged ~= '' then
    local held = redis.pcall('HGET', key, ARGV[at + TERMS])
    if held == unchanged then return page end
    return nil, type(held) == 'table' and (wrong_type(key, 'hash') or held) or 'changed'
  end

  local flat = redis.pcall('HGETALL', key)
  if flat.err then return nil, wrong_type(key, 'hash') or flat end
  page.key, page.terms, page.run = key, ARGV[at + TERMS], ARGV[at + RUN]
  for i = 1, #flat, 2 do
    local state = decoded(flat[i + 1])
    if type(state.c) == 'table' then
      if state.g == '' then state.g = nil end
      if flat[i] == page.terms then
        page.own = state
      else
        page.others = page.others or {}
        table.insert(page.others, state)
      end
    end
  end
  page.own = page.own or { c = {} }
  page.seen, page.began = tonumber(ARGV[at + SEEN]), tonumber(ARGV[at + BEGAN])
  page.is_first = ARGV[at + IS_FIRST] == '1'
  if ARGV[at + GROUP] ~= '' then page.group, page.tag = ARGV[at + GROUP], ARGV[at + GROUP_TAG] end

  for i, row in ipairs(cjson.decode(ARGV[at + ROWS])) do
    local one, obstacle = changed_row(page, KEYS[w + i], row)
    if obstacle then return nil, obstacle end
    page.changes[#page.changes + 1] = one
  end
  return page
end

local function close_page(page)
  local own = page.own
  own.g, own.t = page.group, page.tag
  if next(own.c) then
    redis.call('HSET', page.key, page.terms, cjson.encode(own))
  else
    redis.call('HDEL', page.key, page.terms)
  end
end

local NONE = {}

-- The largest number of elements that a page has of a component under other terms, and its groups there: name → tag.
local function held_elsewhere(page, id)
  if not page.others then return 0, NONE end
  local most, groups = 0, {}
  for _, state in ipairs(page.others) do
    local count = tonumber(state.c[id]) or 0
    if count > 0 then
      most = math.max(most, count)
      if state.g then groups[state.g] = state.t end
    end
  end
  return most, groups
end

-- The JSON of a component's groups, name → pages, with `by` pages more of one, and whether the group is new or gone. A
-- name of the JSON is found in no other: a quotation mark within a name follows a backslash.
local function regrouped(groups, group, by)
  local name = cjson.encode(group) .. ':'
  local _, last = string.find(groups, '{' .. name, 1, true)
  if not last then _, last = string.find(groups, ',' .. name, 1, true) end
  local pages = last and string.match(groups, '^%d+', last + 1)
  if pages and pages + by > 0 then
    return string.sub(groups, 1, last) .. ms(pages + by) .. string.sub(groups, last + 1 + #pages), false
  end
  local all = decoded(groups)
  all[group] = by > 0 and (tonumber(all[group]) or 0) + by or nil
  return next(all) and cjson.encode(all) or '{}', true
end

-- Comma-separated tags with one more or one less, sorted.
local function retagged(tags, tag, by)
  local list = by > 0 and { tag } or {}
  for old in string.gmatch(tags, '[^,]+') do
    if old ~= tag then list[#list + 1] = old end
  end
  table.sort(list)
  return table.concat(list, ',')
end

-- Whether it was first seen by this run or batch, on a page that had been scanned before, and is in no event yet.
-- `run` is the run that saw it first, nil if that is in the hash.
local function is_news(page, key, since, run)
  if page.is_first or (since < page.began and page.run == '') then return false end
  local kept = redis.call('HMGET', key, 'run', 'told_ms')
  local told = tonumber(kept[2])
  return (since >= page.began or (run or kept[1]) == page.run) and not (told and told >= since)
end

-- Whether names of a component differ at most in what depends on the page: numbers, and an example in quotation marks.
local function is_alike(one, other)
  local function plain(name)
    return (string.gsub(string.gsub(name, ' \226\128\156.-\226\128\157', ''), '%d+', '0'))
  end
  return one == other or (one and plain(one) == plain(other))
end

-- The entry of a row in the event: the JSON of ``ComponentChange``.
local function change(row)
  local impact = row[8] ~= '' and cjson.encode(row[8]) or 'null'
  return string.format('{"issue_id":%s,"name":%s,"rule":%s,"impact":%s}', cjson.encode(row[1]), cjson.encode(row[9]),
    cjson.encode(row[6]), impact)
end

-- Sets one changed row of the page in its component's hash, with a single HSET: each one indexes the hash again.
local function count_barrier(page, one, at)
  local row, key, own, kept = one.row, one.key, page.own, one.kept
  local id, known, since, held = row[1], row[4], tonumber(kept[1]), tonumber(kept[2]) or 0
  local is_there, since_before, run = since ~= nil, since, nil
  local most, groups_elsewhere = held_elsewhere(page, id)

  own.c[id] = one.count > 0 and one.count or nil
  local was, is = is_there and math.max(one.old, most) or 0, math.max(one.count, most)
  if not is_there and is == 0 then return end
  local pages = math.max(0, held + (is > 0 and 1 or 0) - (was > 0 and 1 or 0))
  local fields, is_back = { 'pages', pages, 'elements', math.max(0, (tonumber(kept[3]) or 0) + is - was) }, false
  local function set(field, value)
    if value ~= '' then fields[#fields + 1], fields[#fields + 2] = field, value end
  end
  if row[6] and (not is_there or (kept[5] or '') ~= row[8] or not is_alike(kept[4], row[9])) then
    local kind, site = string.match(id, '^([^-]*)%-?(.*)$')
    set('kind', kind)
    set('site', site)
    set('host', ARGV[at + HOST_TAG])
    set('host_name', ARGV[at + HOST])
    set('rule', row[7])
    set('impact', row[8])
    set('name', row[9])
  end
  if not is_there or (held == 0 and is > 0) then
    since, run = page.seen, page.run
    if is_there then
      set('returned_ms', ms(since))
      is_back = true
    elseif known > 0 then
      since = math.min(known, since)
    end
    if is_there or known == 0 then page.appeared = page.appeared + 1 end
    fields[#fields + 1], fields[#fields + 2] = 'run', run
  elseif known > 0 and known < since and redis.call('HEXISTS', key, 'returned_ms') == 0 then
    since = known -- its first page after an update of Sightline had no history; this one has
  end
  if since ~= since_before then
    set('since_ms', ms(since))
    local first = is_there and tonumber(redis.call('HGET', key, 'first_ms'))
    if not first or since < first then set('first_ms', ms(since)) end
  end
  if pages == 0 and held > 0 then
    set('mended_ms', ms(page.seen))
    page.mended = page.mended + 1
  end
  if row[5] == 1 and is > 0 and is_news(page, key, since, run) then
    set('told_ms', ms(page.seen))
    page.news[#page.news + 1] = change(row)
  end

  local groups, tags = kept[6] or '', nil
  local function regroup(group, tag, by)
    local is_other
    groups, is_other = regrouped(groups, group, by)
    if is_other then tags = retagged(tags or redis.call('HGET', key, 'group_tags') or '', tag, by) end
  end
  local left, joined = was > 0 and one.old > 0 and own.g, one.count > 0 and page.group
  if left ~= joined or not is_there then
    if left and not groups_elsewhere[left] then regroup(left, own.t, -1) end
    if joined and not groups_elsewhere[joined] then regroup(joined, page.tag, 1) end
    if not is_there then
      for group, tag in pairs(groups_elsewhere) do regroup(group, tag, 1) end
    end
    if groups ~= '' and groups ~= kept[6] then set('groups', groups) end
    if tags then fields[#fields + 1], fields[#fields + 2] = 'group_tags', tags end -- '' is not indexed
  end
  redis.call('HSET', key, unpack(fields))
  if is_back then redis.call('HDEL', key, 'mended_ms') end
end

-- Counts the changed rows of a page that open_page has read at the same argument.
local function count_page(page, at)
  for _, one in ipairs(page.changes) do count_barrier(page, one, at) end
  if #page.changes > 0 then close_page(page) end
end
