--- Heads for specs of the HTTP/1.1 parser: whole and in all their beginnings, before an unreadable page.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local heads = {}

local PADDING = 64          -- what h1_parse.h says may be looked at behind the end

local parsers = { request = C.h1_parse_request, response = C.h1_parse_response }

local function fields(list)
  local found = {}
  for i = 0, list.count - 1 do
    found[i + 1] = { core.text(list.at[i].name), core.text(list.at[i].value) }
  end
  return found
end

--- Parses bytes: the result code, and what was understood; of a request that is MALFORMED, why.
-- @tparam string kind request or response
-- @tparam string bytes
-- @tparam ?table limits head_bytes, headers, uri_bytes
-- @tparam ?string filler the byte that lies behind the bytes
function heads.parse(kind, bytes, limits, filler)
  limits = limits or {}
  local arena, head, list = core.arena(), ffi.new "struct h1_head", ffi.new "struct headers"
  local c_limits = ffi.new("struct h1_limits", {
    head_bytes = limits.head_bytes or 65536, headers = limits.headers or 100, uri_bytes = limits.uri_bytes or 8192,
  })
  local slice = core.guarded(bytes, PADDING, filler)
  local rc = core.rc(parsers[kind](slice, c_limits, arena, head, list))
  if rc == "MALFORMED" and kind == "request" then return rc, ffi.string(C.h1_parse_why(slice, head.bytes)) end
  if rc ~= "OK" then return rc end
  local found = { minor = head.minor, bytes = tonumber(head.bytes), fields = fields(list), list = list, arena = arena }
  if kind == "request" then
    found.method, found.target = core.text(head.method), core.text(head.target)
  else
    found.status, found.reason = head.status, core.text(head.reason)
  end
  return rc, found
end

--- What a head of len bytes is, is not known before its last byte: the rc of every beginning that is neither RC_AGAIN
-- nor the rc of the whole, by its length. Empty when all is well.
function heads.surprises(kind, bytes, rc, limits)
  local found = {}
  for len = 0, #bytes - 1 do
    for _, filler in ipairs { "\r", "\n", ":", "\0" } do
      local part = heads.parse(kind, bytes:sub(1, len), limits, filler)
      if part ~= "AGAIN" and part ~= rc or (part == "OK") then found[len] = part end
    end
  end
  return found
end

return heads
