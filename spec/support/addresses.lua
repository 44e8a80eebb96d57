--- Names of several addresses for plugins in a gateway: what the system knows of names is not for a spec to change.
local files = require "support.files"

local addresses = {}

local COMPILE = "gcc -std=c11 -D_GNU_SOURCE -O1 -shared -fPIC -o %s/addresses.so spec/support/addresses.c -ldl"

--- The environment in which a gateway knows these names.
-- @tparam table names lists of addresses, in the order in which the system has them
-- @treturn table for gateway.start
function addresses.environment(names)
  local folder, text = files.folder(), ""
  assert(os.execute(COMPILE:format(folder)) == 0, "addresses.c cannot be compiled")
  for name, list in pairs(names) do text = ("%s %s=%s"):format(text, name, table.concat(list, ",")) end
  local sanitizer = os.getenv "ASAN_OPTIONS"
  return {
    SPEC_ADDRESSES = text,
    LD_PRELOAD = folder .. "/addresses.so",
    ASAN_OPTIONS = sanitizer and sanitizer .. ":verify_asan_link_order=0",
  }
end

return addresses
