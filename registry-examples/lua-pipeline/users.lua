-- The users of the example, and what is asked of them.
local users = {
  { id = 1, name = "Alice", tags = { "admin", "dev" }, active = true },
  { id = 2, name = "Bob", tags = { "user" }, active = false },
  { id = 3, name = "Carol", tags = {}, active = true },
}

local function ids(list)
  local found = {}
  for at, user in ipairs(list) do
    found[at] = user.id
  end
  return found
end

return { all = users, ids = ids }
