--- A gateway with plugins that come with it, before an upstream that tells what it got.
local client = require "support.client"
local clock = require "support.clock"
local configuration = require "support.configuration"
local files = require "support.files"
local gateway = require "support.gateway"
local upstream = require "support.upstream"

local shipped = {}

--- One for a describe: setup(at.start), teardown(at.stop).
-- @tparam string yaml configuration; NODE stands for the upstream
-- @tparam[opt] table answers as for upstream.by_path; it echoes what is not there
-- @tparam[opt] table o as for gateway.start
-- @treturn table up, gw once it is started; ask(r) for one request as of client.request
function shipped.new(yaml, answers, o)
  local at = {}

  function at.start()
    answers = answers or {}
    answers.default = answers.default or upstream.echo
    at.up = upstream.by_path(answers)
    at.gw = gateway.start((yaml:gsub("NODE", at.up.node)), o)
  end

  function at.stop()
    at.gw:stop()
    at.up:stop()
  end

  function at.ask(r) return assert(client.ask(at.gw:port(), client.request(r), { method = r.method })) end

  function at.connect() return client.connect(at.gw:port()) end

  --- The fields of a name that the upstream got with the last request, as one text.
  function at.upwards(name) return table.concat(at.up:last_request():all(name), ", ") end

  --- Waits for a line in the access log, which is "access.log"; gives what the pattern captures.
  function at.logged(pattern)
    return clock.wait_until(function()
      return (files.read(at.gw.folder .. "/access.log") or ""):match(pattern)
    end, 5, "the access log's line " .. pattern)
  end

  return at
end

--- What is said of a plugin's settings: "path: message" in lines, the path from the settings on.
-- @tparam string name
-- @tparam string settings "{ max: 10 }"
function shipped.complaints(name, settings)
  local list = {}
  for i, text in ipairs(configuration.complaints(("plugins: [{ %s: %s }]"):format(name, settings), { dry = false })) do
    list[i] = text:gsub("^plugins%[1%]%.?", "")
  end
  return table.concat(list, "\n")
end

--- A case for each settings that are refused.
-- @tparam function it of busted
-- @tparam string name of the plugin
-- @tparam table cases { settings, what is said of them }
function shipped.refuses(it, name, cases)
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function()
      local found = shipped.complaints(name, case[1])
      assert(found:find(case[2], 1, true), found ~= "" and found or "nothing was refused")
    end)
  end
end

return shipped
