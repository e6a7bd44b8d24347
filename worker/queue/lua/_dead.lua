-- Shared by the scripts that write dead letters.

-- Drops the oldest letters beyond `most_bytes`; returns the length of the stream, or `cap` if some were dropped.
local function bound_letters(dead, cap, most_bytes)
  local length, is_cut = redis.call('XLEN', dead), false
  local used = redis.call('MEMORY', 'USAGE', dead, 'SAMPLES', 0)
  while used > most_bytes and length > 1 do
    length = math.max(1, math.min(length - 1, math.floor(0.9 * length * most_bytes / used)))
    redis.call('XTRIM', dead, 'MAXLEN', length)
    used, is_cut = redis.call('MEMORY', 'USAGE', dead, 'SAMPLES', 0), true
  end
  return is_cut and tonumber(cap) or length
end
