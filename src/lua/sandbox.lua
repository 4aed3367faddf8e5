-- What a file sees of Lua's own library, made once for each instance. Given the functions of the host that it needs, it
-- gives back the globals and the ways in which the host starts Lua code.
local print_line, traceback, spawn, opened, module = ...

local raw_create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
local status, running = coroutine.status, coroutine.running
local error, getmetatable, load, pcall, rawget, select, setmetatable, type, xpcall =
  error, getmetatable, load, pcall, rawget, select, setmetatable, type, xpcall
local insert, move, remove, pack, unpack = table.insert, table.move, table.remove, table.pack, table.unpack
local format = string.format

-- Coroutines of the file run within that of their call, which gives its thread up now and then, and while it waits. Such
-- a turn goes through all coroutines outwards; what the file itself yields bears a mark, and ends where it resumed.
local mark = {}

-- What a function of the host raises is one of our errors, or a text.
local function caught_as(ok, ...)
  if ok or type((...)) ~= "userdata" then
    return ok, ...
  end
  return ok, opened((...))
end

local settle
local function on(co, value)
  return settle(co, raw_resume(co, raw_yield(value)))
end

function settle(co, ok, first, ...)
  if not ok then
    return caught_as(false, first)
  elseif status(co) == "dead" then
    return ok, first, ...
  elseif first == mark then
    return ok, ...
  end
  return on(co, first)
end

local function resume(co, ...)
  return settle(co, raw_resume(co, ...))
end

local function rethrow(ok, ...)
  if ok then
    return ...
  end
  error((...), 0)
end

local function copy(from, ...)
  local to = {}
  for _, name in ipairs({ ... }) do
    to[name] = from[name]
  end
  return to
end

-- Loops in C that a table can lie about its length to.
local length_max = 1 << 26
local function bounded(list, name)
  if type(list) == "table" and getmetatable(list) ~= nil and #list > length_max then
    error(format("table.%s: a list of more than %d is too long", name, length_max), 3)
  end
end

local globals = copy(_G, "assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen",
  "rawset", "select", "tonumber", "tostring", "type", "_VERSION")

globals.pcall = function(f, ...)
  return caught_as(pcall(f, ...))
end

globals.coroutine = copy(coroutine, "close", "create", "isyieldable", "running", "status")
globals.coroutine.resume = resume
globals.coroutine.yield = function(...)
  return raw_yield(mark, ...)
end
globals.coroutine.wrap = function(f)
  local co = raw_create(f)
  return function(...)
    return rethrow(resume(co, ...))
  end
end

globals.coroutine.spawn = spawn

globals.math = copy(math, "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
  "maxinteger", "min", "mininteger", "modf", "pi", "rad", "random", "randomseed", "sin", "sqrt", "tan", "tointeger", "type",
  "ult")
globals.string = string
string.dump = nil
globals.utf8 = copy(utf8, "char", "charpattern", "codepoint", "codes", "len", "offset")
globals.os = copy(os, "clock", "date", "difftime", "time")

globals.table = copy(table, "concat", "pack", "sort", "unpack")
globals.table.insert = function(list, ...)
  bounded(list, "insert")
  return insert(list, ...)
end
globals.table.remove = function(list, ...)
  bounded(list, "remove")
  return remove(list, ...)
end
globals.table.move = function(from, first, last, ...)
  if type(first) == "number" and type(last) == "number" and last - first > length_max then
    error(format("table.move: a range of more than %d is too long", length_max), 2)
  end
  return move(from, first, last, ...)
end

-- Nothing interrupts a finalizer.
globals.setmetatable = function(object, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("`__gc` is not available: finalizers cannot be stopped", 2)
  end
  return setmetatable(object, metatable)
end

-- Text only: bytecode could do anything.
globals.load = function(chunk, name, mode, ...)
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then
    return nil, "code is loaded from text only"
  end
  if select("#", ...) > 0 then
    return load(chunk, name, "t", (...))
  end
  return load(chunk, name, "t", globals)
end

globals.collectgarbage = function(what)
  if what == nil or what == "collect" then
    return collectgarbage("collect")
  elseif what == "count" then
    return collectgarbage("count")
  end
  error("collectgarbage takes `collect` and `count`", 2)
end

local function capture(raised)
  return { raised, traceback("", 2) }
end

-- A handler runs once what raised is left: within, nothing could interrupt it. The frames are kept for it.
local caught

local function handled(before, ...)
  caught = before
  return false, select(2, ...)
end

local function attempted(handler, ok, ...)
  if ok then
    return true, ...
  end
  local raised, before = ..., caught
  -- A lack of memory comes as it is.
  if type(raised) ~= "table" then
    return false, raised
  end
  caught = raised[2]
  return handled(before, caught_as(pcall(handler, select(2, caught_as(false, raised[1])))))
end

globals.xpcall = function(f, handler, ...)
  return attempted(handler, xpcall(f, capture, ...))
end

globals.debug = {
  traceback = function(message, level)
    if caught and level == nil and (message == nil or type(message) == "string") then
      return (message and message .. "\n" or "") .. caught:gsub("^%s+", "")
    end
    return traceback(message, (level or 1) + 1)
  end,
}

globals.print = function(...)
  local words = pack(...)
  for at = 1, words.n do
    words[at] = globals.tostring(words[at])
  end
  print_line(globals.table.concat(words, "\t"))
end

-- Some modules are everybody's, and most files do without.
setmetatable(globals, {
  __index = function(_, name)
    local found = module(name)
    globals[name] = found
    return found
  end,
})

-- The environment of one file.
local function environment(require)
  local env = setmetatable({ require = require }, { __index = globals, __metatable = false })
  env._G = env
  return env
end

-- Runs a function as its host does: what it raises comes with a traceback.
local function guard(f, ...)
  return xpcall(f, capture, ...)
end

local function has_functions(t)
  for _, value in next, t do
    if type(value) == "function" then
      return true
    end
  end
end

-- The function that a file gives calls: that of a table that it returns, or a global; the file itself when it has neither.
-- Then calls are answered by what it returns, and it runs again for each.
local function starter(chunk, env, method)
  local known
  local function decide(...)
    local result = ...
    if select("#", ...) == 1 and type(result) == "table" and has_functions(result) then
      known = result[method]
      if type(known) ~= "function" then
        known = nil
        error(format("the file returns a table of functions, and none of them is `%s`", method), 0)
      end
    elseif type(rawget(env, method)) == "function" then
      known = env[method]
    else
      return false, ...
    end
    return true
  end
  return function(...)
    if known then
      return known(...)
    end
    local function answer(found, ...)
      if not found then
        return ...
      end
    end
    local results = pack(decide(chunk(...)))
    if results[1] then
      return known(...)
    end
    return unpack(results, 2, results.n)
  end
end

return environment, guard, starter
