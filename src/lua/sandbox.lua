-- What a file sees of Lua's own library, made once for each instance. Given the functions of the host that it needs, it
-- gives back the globals and the ways in which the host starts Lua code.
local print_line, traceback, spawn, opened, module, is_over, lists = ...

local raw_create, raw_resume, raw_yield = coroutine.create, coroutine.resume, coroutine.yield
local isyieldable, status = coroutine.isyieldable, coroutine.status
local error, getmetatable, load, pcall, rawget, select, setmetatable, type, xpcall =
  error, getmetatable, load, pcall, rawget, select, setmetatable, type, xpcall
local pack, unpack = table.pack, table.unpack
local format = string.format

-- Coroutines of the file run within that of their call, which gives its thread up now and then, and while it waits. Such
-- a turn goes through all coroutines outwards; what the file itself yields bears a mark, and ends where it resumed.
local mark = {}

-- What a function of the host raises is one of our errors, or a text. What a function of C raises that is called here names
-- a line and a function of this file.
local find, gsub = string.find, string.gsub
local function plainly(raised)
  if type(raised) == "string" and find(raised, "[greenroom]:", 1, true) == 1 then
    return (gsub(gsub(raised, "^%[greenroom%]:%d+: ", ""), "^(bad argument #%d+) to '[^']*'", "%1"))
  end
  return raised
end

local function caught_as(ok, ...)
  if ok then
    return ok, ...
  elseif type((...)) == "userdata" then
    return ok, opened((...))
  end
  return ok, plainly((...))
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
  -- Each coroutine counts its instructions for itself.
  if is_over() and isyieldable() then
    raw_yield(nil)
  end
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

-- Between instructions the clock is looked at now and then, and what takes long in one of them needs a look of its own.
local function pause(...)
  if is_over() and isyieldable() then
    raw_yield(nil)
  end
  return ...
end

-- From how many bytes or items on something takes long.
local large = 1 << 14

local function paced(f)
  return function(first, ...)
    if type(first) == "string" and #first > large then
      return pause(f(first, ...))
    end
    return f(first, ...)
  end
end

local globals = copy(_G, "assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen",
  "rawset", "select", "tonumber", "tostring", "type", "_VERSION")

globals.pcall = function(f, ...)
  return caught_as(pcall(f, ...))
end

globals.coroutine = copy(coroutine, "create", "isyieldable", "running", "status")
globals.coroutine.close = function(co)
  return caught_as(coroutine.close(co))
end
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
string.dump = nil
for _, name in ipairs({ "byte", "find", "format", "gmatch", "gsub", "len", "lower", "match", "reverse", "sub", "upper" }) do
  string[name] = paced(string[name])
end
local rep = string.rep
function string.rep(text, count, separator)
  -- Nothing, any number of times, is a loop in C.
  if text == "" and (separator == nil or separator == "") and math.tointeger(tonumber(count)) then
    return ""
  end
  return pause(rep(text, count, separator))
end
globals.string = string
globals.utf8 = copy(utf8, "char", "charpattern", "codepoint", "codes", "len", "offset")
globals.os = copy(os, "clock", "date", "difftime", "time")

globals.table = lists(pause, large)

-- Nothing interrupts a finalizer.
globals.setmetatable = function(object, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("`__gc` is not available: finalizers cannot be stopped", 2)
  end
  return setmetatable(object, metatable)
end

-- Text only: bytecode could do anything. What is loaded has the globals of the file that loads it.
local function loads(env)
  return function(chunk, name, mode, ...)
    if mode ~= nil and mode ~= "t" and mode ~= "bt" then
      return nil, "code is loaded from text only"
    end
    if select("#", ...) > 0 then
      return pause(load(chunk, name, "t", (...)))
    end
    return pause(load(chunk, name, "t", env))
  end
end

globals.collectgarbage = function(what)
  if what == nil or what == "collect" then
    return pause(collectgarbage("collect"))
  elseif what == "count" then
    return collectgarbage("count")
  end
  error("collectgarbage takes `collect` and `count`", 2)
end

local function capture(raised)
  return { plainly(raised), traceback("", 2) }
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
  env._G, env.load = env, loads(env)
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
      -- One that defines functions and returns nothing is meant to have been called by one of them.
      for name, value in next, env do
        if select("#", ...) == 0 and type(value) == "function" and name ~= "require" and name ~= "load" then
          error(format("the file defines the function `%s` and no `%s`, which is the entry's `method`", name, method), 0)
        end
      end
      return false, ...
    end
    return true
  end
  return function(...)
    caught = nil
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

-- A function of the host that may take long.
local function pausing(f)
  return function(...)
    return pause(f(...))
  end
end

return environment, guard, starter, pausing
