--- A gateway in memory and a gateway as a process: the same cases, the same outcome.
local cases = require "kit.cases"
local fake = require "tidegate.spec"

local FILE = [[
local P = { version = "1.0.0", description = "A case.", schema = %s }
P.__index = P
function P.new(conf) return setmetatable({ conf = conf }, P) end
%s
return P
]]

local function sources()
  local texts = {}
  for _, case in ipairs(cases) do texts[case.name] = FILE:format(case.schema or "{}", case.plugin) end
  return texts
end

local function routes()
  local lines = {}
  for i, case in ipairs(cases) do
    local chain = case.plugins or ("[{ use: %s%s }]"):format(case.name, case.entry and ", " .. case.entry or "")
    lines[i] = ('  - { name: %s, paths: ["/%s", "/%s/*"], service: %s, plugins: %s }'):format(
      case.name, case.name, case.name, case.service or "upstream", chain)
  end
  return "routes:\n" .. table.concat(lines, "\n") .. "\n"
end

local by_name = {}
for _, case in ipairs(cases) do by_name[case.name] = case end

--- What the upstream says to a case's request.
local function upstream(request)
  local answer = by_name[request.path:match "^/([%w_]+)"].upstream
  if type(answer) == "function" then return answer(request) end
  return answer or { body = request.body }
end

local OPTIONS = {
  yaml = routes(), sources = sources(), upstream = upstream,
  services = {
    refuses = { refuse = true },
    other = function(request) return ("%s %s"):format(request.method, request.body) end,
    slow = { never = true },
  },
}

-- What is different each time.
local VARIES = { date = true, ["x-request-id"] = true, ["x-forwarded-port"] = true }

local function plain_fields(fields)
  local list = {}
  for _, field in ipairs(fields) do
    if not VARIES[field.name:lower()] then list[#list + 1] = field.name .. ": " .. field.value end
  end
  return list
end

local function plain_request(request)
  return {
    method = request.method, target = request.target, fields = plain_fields(request.fields), body = request.body,
    service = request.service, framing = request.framing,
  }
end

local function plain(out)
  local upstreams, interims = {}, {}
  for i, request in ipairs(out.upstreams) do upstreams[i] = plain_request(request) end
  for i, interim in ipairs(out.interims) do interims[i] = { interim.status, plain_fields(interim.fields) } end
  return {
    status = out.status, reason = out.reason, fields = plain_fields(out.fields), cut = out.cut,
    body = not out.cut and out.body or nil, upstreams = upstreams, interims = interims,
  }
end

--- What was logged for a route, without times, numbers of requests and folders.
local function logged(text, route)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    if line:find(" route=" .. route .. "%f[%s%z]") then
      lines[#lines + 1] = line:gsub("^%S+ ", ""):gsub(" request=%x+", ""):gsub("[^%s\"'<]*/([%w_]+%.lua)", "%1")
    end
  end
  table.sort(lines)
  return lines
end

describe("a gateway in memory", function()
  local memory, process, log_in_memory, log_of_process

  local function ask(gate, case)
    local request = { path = "/" .. case.name }
    for key, value in pairs(case.request) do request[key] = value end
    request.raw = case.raw
    return gate:request(request)
  end

  setup(function()
    memory, process = fake.memory(OPTIONS), fake.gateway(OPTIONS)
  end)

  teardown(function() process:kill() end)

  for _, case in ipairs(cases) do
    it("does what a gateway does: " .. case.name, function()
      local out = ask(memory, case)
      assert.equal(case.status, out.status, tostring(out))
      assert.same(plain(ask(process, case)), plain(out))
    end)
  end

  it("ends as a gateway does", function()
    log_in_memory = memory:log()
    memory:stop()
    local file = process.folder .. "/stderr"
    process:log("over")
    local keep = assert(io.open(file))
    process:stop()
    log_of_process = keep:read "*a"
    keep:close()
    assert.is_falsy(log_of_process:find "Sanitizer")
  end)

  for _, case in ipairs(cases) do
    it("logs what a gateway logs: " .. case.name, function()
      assert.same(logged(log_of_process, case.name), logged(log_in_memory, case.name))
    end)
  end
end)
