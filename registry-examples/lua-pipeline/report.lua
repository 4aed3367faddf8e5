local funcs = require("funcs")
local time = require("time")
local users = require("users")

local function report()
  -- Both run at once, each on a worker of its own.
  local transformed = funcs.async("transform_users", users.all)
  local active = funcs.async("filter_active", users.all)

  local deadline = time.after("2s")
  local first = channel.select{ transformed:response():case_receive(), deadline:case_receive() }
  if first.channel == deadline then
    return nil, errors.new(errors.TIMEOUT, "transforming took too long")
  end

  local payload, ok = active:response():receive()
  if not ok then
    return nil, active:error()
  end
  return { users = first.value:data(), active = users.ids(payload:data()) }
end

return { report = report }
