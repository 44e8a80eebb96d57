--- Where a URL of http or https leads: scheme, host and port, and the target that is asked for there.
local url = require "tidegate.tide.url"
local words = require "tidegate.tide.words"

local origin = {}

local PORTS = { http = 80, https = 443 }

--- Takes a URL apart.
-- @tparam string text
-- @treturn[1] table is_tls, host (a name, or an IP address without brackets), port, target (path and query)
-- @return[2] nil and why
function origin.parse(text)
  local parts, why = url.parse(text)
  if not parts then return nil, why end
  local port = PORTS[parts.scheme]
  if not port then
    return nil, ('expected a URL that begins with "http://" or "https://", found %s'):format(words.quote(text))
  end
  if parts.user then return nil, "expected a URL without user and password: they go into the authorization header" end
  if parts.port == 0 then return nil, "expected a port of 1 to 65535, found 0" end
  local path = parts.path == "" and "/" or parts.path
  return {
    is_tls = parts.scheme == "https", host = parts.host, port = parts.port or port,
    target = parts.query and path .. "?" .. parts.query or path,
  }
end

--- The same for a URL that names a node and no more.
-- @tparam string text
-- @treturn[1] table
-- @return[2] nil and why
function origin.of(text)
  local node, why = origin.parse(text)
  if not node then return nil, why end
  if node.target ~= "/" or text:find("#", 1, true) then
    return nil, ("expected a URL without path, query and fragment, found %s"):format(words.quote(text))
  end
  return node
end

return origin
