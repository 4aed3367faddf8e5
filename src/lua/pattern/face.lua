-- The functions of `string` as programs see them, above the native ones, which never raise: they return nil and a message
-- where C would. Raised from here, it is a string that says where, and replacements are called by Lua, so that they may
-- yield, and what they raise comes through as it is. One thing differs from C: of `return s:find("[")`, a tail call, an
-- error names the line that called the function, not the function's own.

local string, error, find, match, gmatch, following, gsub, substitute = ...

-- Called as a tail call, so that level 2 is the program's own line.
local function values(done, ...)
  if done then return ... end
  error((...), 2)
end

-- `done` is false with the captures of a match to replace.
local function by_function(replacement, state, subject, pattern, pieces, done, ...)
  if done then return ... end
  if done == nil then error((...), 2) end
  return by_function(replacement, state, subject, pattern, pieces,
    substitute(state, subject, pattern, pieces, (replacement(...))))
end

local function by_table(replacement, state, subject, pattern, pieces, done, ...)
  if done then return ... end
  if done == nil then error((...), 2) end
  return by_table(replacement, state, subject, pattern, pieces,
    substitute(state, subject, pattern, pieces, replacement[(...)]))
end

function string.find(...) return values(find(...)) end

function string.match(...) return values(match(...)) end

function string.gmatch(...)
  local done, scan, subject, pattern = gmatch(...)
  if done == nil then error(scan, 2) end
  return function() return values(following(scan, subject, pattern)) end
end

function string.gsub(...)
  local done, first, second, state, subject, pattern, pieces = gsub(...)
  if done then return first, second end
  if done == nil then error(first, 2) end
  local by = first and by_table or by_function
  return by(second, state, subject, pattern, pieces, substitute(state, subject, pattern, pieces))
end
