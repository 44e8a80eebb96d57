--- Bounds what this thread's Lua may allocate, while it runs a plugin's code: bound(bytes), and bound() ends that. Only
-- the gateway's control thread and its command line can do that from Lua; elsewhere it does nothing.
local is_counted, memory = pcall(require, "tidegate.memory")

return is_counted and memory.bound or function() end
