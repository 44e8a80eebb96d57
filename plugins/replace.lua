--- Replaces text in bodies while they pass, wherever chunks part it. Only what may become a match is held back: events
-- of a stream go on as they come.
local Replace = {
  version     = "1.0.0",
  description = "Replaces text and patterns in the bodies of requests and responses.",
  band        = "transform",
  decode      = true,       -- a compressed body comes plain, and goes on so
}
Replace.__index = Replace

local function rules(doc)
  return {
    type = "list", single = true, min = 1, doc = doc,
    of = {
      type = "object",
      fields = {
        text = { type = "string", min = 1, doc = "text to replace, byte for byte" },
        regex = { type = "regex", doc = "regular expression to replace the matches of; empty matches are left alone" },
        with = {
          type = "string", template = true, default = "",
          doc = "what stands there instead; beside `regex`, $1 and ${name} are groups, $0 is the match, $$ a dollar",
        },
        ignore_case = { type = "boolean", default = false, doc = "capital and small letters are alike" },
        multiline = {
          type = "boolean", default = false, doc = "`regex`: ^ and $ at every line, and a dot is a line break too",
        },
        one_of = { "text", "regex" },
        requires = { multiline = { "regex" } },
      },
    },
  }
end

Replace.schema = {
  response = rules "in the body of the response; one rule after the other",
  request = rules "in the body of the request; one rule after the other",
  types = {
    type = "list", min = 1,
    of = { type = "string", match = "^[%w*.+-]+/[%w*.+-]+$", expects = "a type such as text/*" },
    default = {
      "text/*", "application/json", "application/*+json", "application/xml", "application/*+xml",
      "application/javascript", "application/x-www-form-urlencoded", "image/svg+xml",
    },
    doc = "types of bodies that are looked at; * stands for any characters",
  },
  max_match = {
    type = "size", default = "4KiB", min = "1B", max = "1MiB", unit = "bytes",
    doc = "how much of a match is held back until it is complete; of one that gets longer, what there is counts",
  },
}

-- Digests of what is not sent any more: RFC 9530, and what came before it.
local DIGESTS = { "content-digest", "repr-digest", "digest", "content-md5" }

local function compile(given, max)
  local list = {}
  for i, rule in ipairs(given or {}) do
    local flags = (rule.ignore_case and "i" or "") .. (rule.multiline and "ms" or "")
    local regex, replacer, why
    regex, why = tide.re.compile(rule.regex or tide.re.escape(rule.text), flags)
    local with = rule.regex and rule.with or rule.with:gsub("%$", "$$")
    if regex then replacer, why = regex:replacer(with, { max = max }) end
    if not replacer then error(("rule %d: %s"):format(i, why), 0) end
    list[i] = replacer
  end
  return list
end

--- A type with stars as a Lua pattern.
local function pattern_of(kind)
  return "^" .. kind:lower():gsub("[%.+-]", "%%%0"):gsub("%*", "[^/]*") .. "$"
end

function Replace.new(conf)
  local self = {
    upwards = compile(conf.request, conf.max_match), back = compile(conf.response, conf.max_match), types = {},
  }
  for i, kind in ipairs(conf.types) do self.types[i] = pattern_of(kind) end
  if #self.upwards + #self.back == 0 then return nil, "expected rules for request or response, found none" end
  if #self.upwards == 0 then self.request_body = false end
  if #self.back == 0 then self.response, self.response_body = false, false end
  return setmetatable(self, Replace)
end

--- Whether a body is of a type that is looked at.
function Replace:is_wanted(message)
  local kind = (message:header "content-type" or ""):lower():match "^%s*([^;%s]+)"
  for _, pattern in ipairs(kind and self.types or {}) do
    if kind:find(pattern) then return true end
  end
  return false
end

function Replace:request(req)
  if #self.back > 0 then
    -- What is not compressed need not be unpacked, and a part of a body would not show what is parted.
    req:set_header("accept-encoding", "identity")
    req:remove_header "range"
  end
  if #self.upwards > 0 and self:is_wanted(req) then
    for _, name in ipairs(DIGESTS) do req:remove_header(name) end
  end
end

function Replace:response(res)
  if not self:is_wanted(res) or res.status == 206 then return end
  for _, name in ipairs(DIGESTS) do res:remove_header(name) end
end

--- The streams of one body; none where it is not looked at.
local function begin(self, replacers, message)
  local streams = {}
  if not self:is_wanted(message) or message:header "content-encoding" then return streams end
  for i, replacer in ipairs(replacers) do streams[i] = replacer:stream() end
  return streams
end

--- The streams of a request's body, kept under this very instance.
local function state_of(self, req)
  local state = req.ctx[self] or {}
  req.ctx[self] = state
  return state
end

local function feed(streams, chunk, last)
  for _, stream in ipairs(streams) do
    local text, why = stream:feed(chunk, last)
    if not text then error("the body cannot be searched: " .. why, 0) end
    chunk = text
  end
  return chunk
end

function Replace:request_body(chunk, last, req)
  local state = state_of(self, req)
  state.up = state.up or begin(self, self.upwards, req)
  return feed(state.up, chunk, last)
end

function Replace:response_body(chunk, last, res, req)
  local state = state_of(self, req)
  state.back = state.back or (res.status == 206 and {} or begin(self, self.back, res))
  return feed(state.back, chunk, last)
end

return Replace
