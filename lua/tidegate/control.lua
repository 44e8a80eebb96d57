--- What the control thread asks of Lua: a generation from the files, and answers for the control socket.
local ffi = require "ffi"
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local cjson = require "cjson"

pcall(ffi.cdef, "unsigned umask(unsigned mask);")

local control = {}

local function lines_of(text)
  local list = {}
  for line in (text or ""):gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

local loaded            -- the texts of the newest load

local function read_kept(name)
  local file = io.open(name, "rb")
  if not file then return nil end
  local ok, texts = pcall(cjson.decode, file:read "*a")
  file:close()
  return ok and texts or nil
end

--- Keeps the texts of the newest load, which is in force now, for a worker that finds worse ones on disk.
-- @tparam string name of the file; only its owner can read it, because secrets are in it
function control.keep(name)
  local before = ffi.C.umask(63)
  local file = io.open(name .. ".new", "wb")
  ffi.C.umask(before)
  if not file then return end
  file:write(cjson.encode(loaded))
  file:close()
  os.rename(name .. ".new", name)
end

--- Loads the configuration.
-- @tparam string path absolute
-- @tparam ?string overrides assignments of --set, one per line
-- @tparam ?string good name of a file that control.keep wrote: its texts count instead of what is on disk
-- @treturn ?number address of the finished generation, which the caller now owns
-- @treturn string what is wrong or remarkable, for people; "" where all is well
-- @treturn string absolute names of all files that it depends on, one per line
function control.load(path, overrides, good)
  local result = config.load(path, { set = lines_of(overrides), texts = good and read_kept(good) })
  loaded = result.texts
  local address
  if result.generation then address = tonumber(ffi.cast("uintptr_t", result.generation)) end
  return address, result.report:text(), table.concat(result.files, "\n")
end

local FIELDS = {
  "generation", "requests", "connections_total", "connections_open", "bytes_in", "bytes_out", "upstream_tries",
  "upstream_reused", "upstream_retries", "upstream_failures", "upstream_open", "log_lines", "log_lost",
  "accept_errors", "refused", "reloads_good", "reloads_bad", "worker_restarts", "threads", "supervisor_pid",
  "worker_pid",
}

--- All numbers of the gateway as a plain table.
local function read_status()
  local raw = ffi.new "struct tide_status"
  C.tide_status_read(raw)
  local status = { version = ffi.string(C.tide_version()), started = tonumber(raw.started_ms) / 1000, responses = {} }
  for _, name in ipairs(FIELDS) do status[name] = tonumber(raw[name]) end
  status.responses.cut = tonumber(raw.responses[0])
  for class = 1, 5 do status.responses[class .. "xx"] = tonumber(raw.responses[class]) end
  return status
end

local function span(seconds)
  local parts = {}
  for _, unit in ipairs { { 86400, "d" }, { 3600, "h" }, { 60, "m" } } do
    local n = math.floor(seconds / unit[1])
    if n > 0 then parts[#parts + 1] = n .. unit[2] end
    seconds = seconds - n * unit[1]
  end
  parts[#parts + 1] = math.floor(seconds) .. "s"
  return table.concat(parts, " ", 1, math.min(#parts, 2))
end

local function bytes(n)
  local units = { "B", "KiB", "MiB", "GiB", "TiB" }
  local i = 1
  while n >= 1024 and i < #units do
    n, i = n / 1024, i + 1
  end
  return (i == 1 and "%d %s" or "%.1f %s"):format(n, units[i])
end

local function status_text(state)
  local s = read_status()
  local r = s.responses
  local out = {
    ("tidegate %s, running for %s"):format(s.version, span(math.max(0, os.time() - s.started))),
    ("  processes    supervisor %d, worker %d, %d loops, restarted %d times"):format(
      s.supervisor_pid, s.worker_pid, s.threads, s.worker_restarts),
    ("  generation   %d (reloads: %d good, %d bad)"):format(s.generation, s.reloads_good, s.reloads_bad),
    ("  connections  %d open, %d in all, %d refused, %d accept errors"):format(
      s.connections_open, s.connections_total, s.refused, s.accept_errors),
    ("  requests     %d (1xx %d, 2xx %d, 3xx %d, 4xx %d, 5xx %d, cut %d)"):format(
      s.requests, r["1xx"], r["2xx"], r["3xx"], r["4xx"], r["5xx"], r.cut),
    ("  bytes        %s in, %s out"):format(bytes(s.bytes_in), bytes(s.bytes_out)),
    ("  upstream     %d open, %d tries, %d on kept connections, %d retries, %d failures"):format(
      s.upstream_open, s.upstream_tries, s.upstream_reused, s.upstream_retries, s.upstream_failures),
    ("  access log   %d lines, %d lost"):format(s.log_lines, s.log_lost),
  }
  if state and state ~= "" then out[#out + 1] = "last reload:\n" .. state:gsub("\n+$", "") end
  return table.concat(out, "\n") .. "\n"
end

local function status_json(state)
  local status = read_status()
  status.last_reload = state or ""
  return require("cjson.safe").encode(status) .. "\n"
end

local COMMANDS = { ["status"] = status_text, ["status json"] = status_json }

--- Answers a line that came over the control socket.
-- @tparam string line
-- @tparam string state what the last reload had to say
-- @treturn string
function control.command(line, state)
  local answer = COMMANDS[line:match "^%s*(.-)%s*$"]
  if not answer then return ("error\nunknown command %q\n"):format(line:sub(1, 60)) end
  return answer(state)
end

return control
