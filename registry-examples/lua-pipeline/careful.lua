local funcs = require("funcs")

-- A call gives its result, or nothing and an error.
local _, err = funcs.call("transform_users", { { id = "one", name = "Dan", tags = {}, active = true } })
return { kind = err:kind(), message = err:message(), retryable = err:retryable() }
