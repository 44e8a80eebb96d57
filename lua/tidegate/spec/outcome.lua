--- What came of a request: the response, what the upstream got, what was logged.
local message = require "tidegate.spec.message"

local outcome = {}

-- -- log lines --

--- Control bytes come as \xHH; within quotes, quotes and backslashes have a backslash before them.
local function unescape(text)
  return (text:gsub('\\([x"\\])(%x?%x?)', function(sign, digits)
    if sign ~= "x" then return sign .. digits end
    return #digits == 2 and string.char(tonumber(digits, 16)) or nil
  end))
end

--- The pairs at the end of a line, from a place on.
local function pairs_from(text, at)
  local fields = {}
  while at do
    local key, value_at = text:match("^ ([^%s=]+)=()", at)
    if not key then return nil end
    local value, stop
    if text:sub(value_at, value_at) == '"' then
      local from = value_at + 1
      stop = from
      while stop and text:sub(stop, stop) ~= '"' do
        stop = text:find('["\\]', text:sub(stop, stop) == "\\" and stop + 2 or stop)
      end
      if not stop then return nil end
      value, stop = text:sub(from, stop - 1), stop + 1
    else
      value, stop = text:match("^([^%s\"]*)()", value_at)
    end
    fields[key] = unescape(value)
    at = stop <= #text and stop or nil
  end
  return fields
end

--- A line of the error log, taken apart.
-- @treturn table level, where, message, fields (by key), line; only line where it is not one of the gateway's
function outcome.log_entry(line)
  local level, where, rest = line:match "^%S+ (%l+) +([%w_]+): (.*)$"
  if not level then return { line = line } end
  local entry = { level = level, where = where, message = unescape(rest), fields = {}, line = line }
  local at = 1
  while true do
    at = rest:find(" [^%s=]+=", at)
    if not at then break end
    local fields = pairs_from(rest, at)
    if fields then
      entry.message, entry.fields = unescape(rest:sub(1, at - 1)), fields
      break
    end
    at = at + 1
  end
  return entry
end

--- @tparam string text lines
-- @treturn {table,...}
function outcome.log_entries(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = outcome.log_entry(line) end
  return list
end

-- -- the whole --

local Outcome = { all = message.all, json = message.json }
Outcome.__index = Outcome

--- Whether a line of the log has this text.
-- @tparam string text as it is, no pattern
-- @treturn ?table the first such entry
function Outcome:logged(text)
  for _, entry in ipairs(self.log) do
    if entry.line:find(text, 1, true) then return entry end
  end
  return nil
end

--- All of it, for people.
function Outcome:__tostring()
  local lines = { self.status and ("%d %s"):format(self.status, self.reason) or "no response" }
  for _, field in ipairs(self.fields) do lines[#lines + 1] = field.name .. ": " .. field.value end
  lines[#lines + 1] = "\n" .. (self.body or "") .. (self.status and self.cut and " [cut]" or "") .. "\n"
  for _, entry in ipairs(self.log) do lines[#lines + 1] = entry.line end
  for _, e in ipairs(self.errors) do lines[#lines + 1] = ("%s, %s: %s"):format(e.plugin, e.hook, e.text) end
  return table.concat(lines, "\n")
end

--- Notes of what happens, empty so far.
-- @treturn table upstreams, calls, redis: what others were asked, in order, and answers: what they said; log: entries;
--   access: lines; errors: of hooks
function outcome.notes()
  return {
    upstreams = {}, calls = {}, redis = {}, log = {}, errors = {}, access = {},
    answers = { upstreams = {}, calls = {}, redis = {} },
  }
end

--- @tparam table notes see above
-- @tparam ?table response a message; nil where none came
-- @treturn table notes with status, reason, headers, fields, body, version, interims, complete of the response;
--   upstream: the last of upstreams; error: the first of errors, as text; cut: the response is not whole
function outcome.new(notes, response)
  local out = notes
  for _, name in ipairs { "status", "reason", "headers", "fields", "body", "version", "interims", "complete", "chunks",
                          "framing" } do
    if response then out[name] = response[name] end
  end
  out.headers, out.fields, out.interims = out.headers or {}, out.fields or {}, out.interims or {}
  out.cut = not out.complete
  out.upstream = out.upstreams[#out.upstreams]
  out.error = out.errors[1] and out.errors[1].text
  return setmetatable(out, Outcome)
end

return outcome
