-- `table` as files see it: what C would do for too long is done here, where it can be interrupted. Given `pause`, which gives
-- the thread up where that is due, and from how many items on a list is long.
local pause, large = ...

local error, format, getmetatable, math, select, tonumber, type =
  error, string.format, getmetatable, math, select, tonumber, type
local concat, insert, move, remove, sort, unpack =
  table.concat, table.insert, table.move, table.remove, table.sort, table.unpack

-- Lists with a metatable may lie about their length, and nothing interrupts C: those are gone through here.
local function is_plain(list)
  return type(list) ~= "table" or getmetatable(list) == nil
end

local function position(value, default)
  local at = value == nil and default or math.tointeger(tonumber(value))
  return at or error("number has no integer representation", 3)
end

local lists = { pack = table.pack }

function lists.concat(list, separator, first, last)
  if is_plain(list) then
    return pause(concat(list, separator, first, last))
  end
  local parts, count = {}, 0
  for at = position(first, 1), position(last, #list) do
    count = count + 1
    parts[count] = list[at]
    if parts[count] == nil then
      error(format("invalid value (at index %d) in table for 'concat'", at), 2)
    end
  end
  return concat(parts, separator)
end

function lists.insert(list, ...)
  if is_plain(list) then
    if select("#", ...) > 1 and #list > large then
      return pause(insert(list, ...))
    end
    return insert(list, ...)
  end
  local at, value = ...
  local last = #list + 1
  if select("#", ...) == 1 then
    list[last] = at
    return
  end
  at = position(at)
  if select("#", ...) ~= 2 or at < 1 or at > last then
    error("wrong arguments to 'insert'", 2)
  end
  for to = last, at + 1, -1 do
    list[to] = list[to - 1]
  end
  list[at] = value
end

function lists.remove(list, ...)
  if is_plain(list) then
    if select("#", ...) > 0 and #list > large then
      return pause(remove(list, ...))
    end
    return remove(list, ...)
  end
  local last = #list
  local at = position((...), last)
  if select("#", ...) > 0 and at ~= last + 1 and (at < 1 or at > last + 1) and not (last == 0 and at == 0) then
    error("position out of bounds", 2)
  end
  local removed = list[at]
  while at < last do
    list[at] = list[at + 1]
    at = at + 1
  end
  list[at] = nil
  return removed
end

function lists.move(from, first, last, to, into)
  into = into == nil and from or into
  first, last, to = position(first), position(last), position(to)
  if last >= first then
    if first <= 0 and last >= math.maxinteger + first then
      error("bad argument #3 to 'move' (too many elements to move)", 2)
    elseif to > math.maxinteger - (last - first) then
      error("bad argument #4 to 'move' (destination wrap around)", 2)
    end
  end
  if is_plain(from) and is_plain(into) and last - first < 1 << 20 then
    return pause(move(from, first, last, to, into))
  end
  if to > last or to <= first or into ~= from then
    for at = first, last do
      into[to + (at - first)] = from[at]
    end
  else
    for at = last, first, -1 do
      into[to + (at - first)] = from[at]
    end
  end
  return into
end

-- C sorts no more than this at once; longer lists are put together from sorted pieces.
local piece = 512

local function merge(from, into, low, middle, high, less)
  local left, right = low, middle + 1
  for at = low, high do
    local takes_right = left > middle
    if not takes_right and right <= high then
      if less then
        takes_right = less(from[right], from[left])
      else
        takes_right = from[right] < from[left]
      end
    end
    if takes_right then
      into[at], right = from[right], right + 1
    else
      into[at], left = from[left], left + 1
    end
  end
end

local function sort_in_pieces(list, less)
  local count, width, from, into = #list, piece, list, {}
  for low = 1, count, piece do
    local high = math.min(low + piece - 1, count)
    local part = move(list, low, high, 1, {})
    sort(part, less)
    move(part, 1, high - low + 1, low, list)
    pause()
  end
  while width < count do
    for low = 1, count, 2 * width do
      merge(from, into, low, math.min(low + width - 1, count), math.min(low + 2 * width - 1, count), less)
    end
    from, into, width = into, from, 2 * width
  end
  if from ~= list then
    move(from, 1, count, 1, list)
  end
end

function lists.sort(list, ...)
  if is_plain(list) then
    if type(list) == "table" and #list > piece and (... == nil or type((...)) == "function") then
      return sort_in_pieces(list, (...))
    end
    return pause(sort(list, ...))
  end
  local plain = {}
  for at = 1, #list do
    plain[at] = list[at]
  end
  sort(plain, ...)
  for at = 1, #plain do
    list[at] = plain[at]
  end
end

function lists.unpack(list, first, last)
  if is_plain(list) then
    return unpack(list, first, last)
  end
  local parts, count = {}, 0
  for at = position(first, 1), position(last, #list) do
    count = count + 1
    parts[count] = list[at]
  end
  return unpack(parts, 1, count)
end

return lists
