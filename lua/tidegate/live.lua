--- Answers of the running gateway about its configuration, for `tidegate diff`, `history` and `explain --running`. In
-- the control thread; what goes over the control socket to the command line is JSON.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local digest = require "tidegate.config.digest"
local explain = require "tidegate.cli.explain"
local json = require "tidegate.tide.json"
local quarantine = require "tidegate.config.quarantine"
local replay = require "tidegate.replay"
local running = require "tidegate.running"

local live = {}

local address = ffi.new "const char *[1]"

local function encode(value) return assert(json.encode(value, { sorted = true })) .. "\n" end

local function drop(result)
  if result.generation then C.tide_generation_drop(result.generation) end
end

-- -- history --

function live.history() return running.history:text(running.number) end

function live.history_json() return encode(json.array(running.history:list(running.number))) end

-- -- diff --

--- The requests that the loops remember.
local function recent_requests()
  local text = C.tide_recent_heads()
  local list = replay.parse(ffi.string(text), function(number)
    return C.tide_listener_address(number, address) and ffi.string(address[0]) or nil
  end)
  C.tide_free(text)
  return list
end

--- Where they go in the configuration in force, and where they would go.
local function replayed(requests, result, path, own)
  local before = running.load(path, own)
  local found = before.good and replay.compare(requests, before, result) or nil
  drop(before)
  return found
end

--- What a reload would change.
-- @tparam table options file: the main file, absolute; set, env: where they are others than the gateway's own
-- @tparam string path of the gateway's own main file
-- @tparam table own set and env of the gateway
-- @treturn string JSON: { good =, report =, changes = (see tidegate.config.digest), quarantined =, requests = (see
--   tidegate.replay) }
function live.diff(options, path, own)
  local good = running.texts and { texts = running.texts, edits = running.edits, path = running.path }
  local result = quarantine.load(options.file or path, { set = options.set or own.set, env = options.env or own.env },
                                 good)
  local told = { good = result.good, report = result.told, quarantined = json.array(result.quarantined) }
  if result.good then
    told.changes = json.array(digest.compare(running.digest, digest.of(result)))
    local requests = #told.changes > 0 and recent_requests() or {}
    if #requests > 0 then told.requests = replayed(requests, result, path, own) end
    told.text = digest.text(told.changes) .. replay.text(told.requests)
    for _, change in ipairs(told.changes) do json.array(change.keys) end
  end
  drop(result)
  return encode(told)
end

-- -- explain --

--- Where a request would go in the configuration that is in force.
-- @tparam table options as the command line has them
-- @treturn string JSON: { told = } of tidegate.cli.explain, or { trouble = }
function live.explain(options, path, own)
  local result = running.load(path, own)
  local told, trouble
  if result.good then told, trouble = explain.look_up(result, options) else trouble = result.report:text() end
  drop(result)
  return encode { told = told, trouble = trouble }
end

return live
