--- Clients that ask again and again in processes of their own, and count what went wrong.
local client = require "support.client"
local clock = require "support.clock"
local files = require "support.files"
local processes = require "support.processes"

local Load = {}
Load.__index = Load

local load = {}

--- One client's life: a request, its response, the next, until it is told to stop.
local function ask_on(o, folder, number)
  local done, failures, c = 0, {}, nil
  while not files.read(folder .. "/stop") do
    local why
    if not c then
      local ok, made = pcall(client.connect, o.to)
      if ok then c = made else why = "connect: " .. tostring(made) end
    end
    if c then
      local response
      local sent = c:send(client.request { target = o.target, headers = o.headers, body = o.body, method = o.method })
      if sent then response, why = c:response { timeout = 10 } else why = "send" end
      if response and response.status ~= 200 then why = "status " .. response.status end
      if response and response.status == 200 then why = not response.complete and "cut: " .. response.ended or nil end
      local last = why or o.connect or (response:get "connection" or ""):lower() == "close"
      if last then
        c:close()
        c = nil
      end
    end
    done = done + 1
    if why then failures[#failures + 1] = why end
    if done % 20 == 1 then files.write(folder .. "/" .. number, done .. "\n") end
    if #failures > 50 then break end
  end
  files.write(folder .. "/" .. number, done .. "\n" .. table.concat(failures, "\n"))
  return 0
end

--- Starts it.
-- @tparam table o to: port or path; clients (4); target, method, headers, body of the request; connect: a new
-- connection for each request
function load.start(o)
  local self = setmetatable({ folder = files.folder(), pids = {} }, Load)
  for number = 1, o.clients or 4 do
    self.pids[number] = processes.fork(function() return ask_on(o, self.folder, number) end)
  end
  self:wait(1)
  return self
end

--- Requests so far, of all clients; a little behind.
function Load:requests()
  local sum = 0
  for number in ipairs(self.pids) do
    sum = sum + (tonumber((files.read(self.folder .. "/" .. number) or ""):match("^%d+")) or 0)
  end
  return sum
end

--- Waits until n more requests were made.
function Load:wait(n)
  local goal = self:requests() + n
  clock.wait_until(function() return self:requests() >= goal end, 20, n .. " more requests")
end

--- Ends it.
-- @treturn number requests made
-- @treturn table what went wrong, a text each
function Load:stop()
  files.write(self.folder .. "/stop", "")
  local failures = {}
  for number, pid in ipairs(self.pids) do
    processes.join(pid, 20)
    local text = files.read(self.folder .. "/" .. number):gsub("^%d+\n", "")
    for why in text:gmatch("[^\n]+") do failures[#failures + 1] = why end
  end
  return self:requests(), failures
end

return load
