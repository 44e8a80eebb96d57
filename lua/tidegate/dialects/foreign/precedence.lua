--- Priorities for converted routes: as few as make the same route win as in the gateway they come from.
--
-- Each route holds, beside what the configuration has, `rank`: its place in the other gateway's order (1 wins first).
-- Two routes that no request can both fit need no order. Of two that may meet, the first of the other gateway must win
-- here: by our own rules where those say so for sure (see docs/routing.md), else by a higher priority.
local precedence = {}

local HOST_EXACT, HOST_WILDCARD, HOST_REGEX, HOST_ANY = 4, 3, 2, 1
local PATH_EXACT, PATH_PARAMETERS, PATH_PREFIX, PATH_REGEX, PATH_ANY = 5, 4, 3, 2, 1

local function host_of(text)
  if not text then return { class = HOST_ANY, length = 0 } end
  if text:find "^~" then return { class = HOST_REGEX, length = 0 } end
  local name = text:match "^%*%.(.*)$"
  if name then return { class = HOST_WILDCARD, length = #name, name = name:lower() } end
  return { class = HOST_EXACT, length = 0, name = text:lower() }
end

local function path_of(text)
  if not text then return { class = PATH_ANY, length = 0, stem = "/" } end
  if text:find "^~" then
    -- What the pattern begins with literally; the last character may be optional, and stays out.
    local stem = not text:find("|", 1, true) and text:match "^~%^(/[%w/_-]*)[^?*{]" or "/"
    return { class = PATH_REGEX, length = 0, stem = stem }
  end
  local literal, prefix = text:match "^([^{]*){", text:match "^(.*)/%*+$"
  if prefix then
    local _, segments = prefix:gsub("/", "")
    return { class = PATH_PREFIX, length = segments, stem = literal or prefix .. "/", lone = prefix, text = text,
             has_parameters = literal ~= nil }
  end
  if literal then return { class = PATH_PARAMETERS, length = 0, stem = literal, text = text, has_parameters = true } end
  return { class = PATH_EXACT, length = 0, stem = text, exact = true }
end

local function ends_with(text, tail)
  return text:sub(-#tail) == tail
end

local function hosts_meet(a, b)
  if a.class == HOST_ANY or b.class == HOST_ANY or a.class == HOST_REGEX or b.class == HOST_REGEX then return true end
  if a.class == HOST_EXACT and b.class == HOST_EXACT then return a.name == b.name end
  if a.class == HOST_EXACT then return ends_with(a.name, "." .. b.name) end
  if b.class == HOST_EXACT then return ends_with(b.name, "." .. a.name) end
  return a.name == b.name or ends_with(a.name, "." .. b.name) or ends_with(b.name, "." .. a.name)
end

--- Whether a path can fit both. Where that is hard to say, it can.
local function paths_meet(a, b)
  if a.exact and b.exact then return a.stem == b.stem end
  if b.exact then a, b = b, a end
  if a.exact and a.stem == b.lone then return true end
  local n = math.min(#a.stem, #b.stem)
  if a.exact then n = #b.stem end
  return a.stem:sub(1, n) == b.stem:sub(1, n)
end

local function set_of(list)
  if not list then return nil end
  local set = {}
  for _, word in ipairs(list) do set[word] = true end
  return set
end

local function sets_meet(a, b)
  if not a or not b then return true end
  for word in pairs(a) do
    if b[word] then return true end
  end
  return false
end

local function leaves(condition)
  local list = condition.all or condition.any
  if condition["not"] then return leaves(condition["not"]) end
  if not list then return 1 end
  local n = 0
  for _, item in ipairs(list) do n = n + leaves(item) end
  return n
end

--- A route as what decides. How much `when` counts is left open: from one to all that it asks.
local function shape(route)
  local plain = (route.methods and 1 or 0) + (route.on and 1 or 0)
  local s = {
    hosts = {}, paths = {}, methods = set_of(route.methods), priority = 0,
    least = plain + (route.when and 1 or 0), most = plain + (route.when and leaves(route.when) or 0),
  }
  for i, host in ipairs(route.hosts or {}) do s.hosts[i] = host_of(host) end
  for i, path in ipairs(route.paths or {}) do s.paths[i] = path_of(path) end
  if #s.hosts == 0 then s.hosts[1] = host_of(nil) end
  if #s.paths == 0 then s.paths[1] = path_of(nil) end
  return s
end

--- Whether a pair of the first wins over one of the second by our own rules, for sure.
-- @tparam boolean is_earlier the first stands before the second in the file
local function beats(a, host_a, path_a, b, host_b, path_b, is_earlier)
  if host_a.class ~= host_b.class then return host_a.class > host_b.class end
  if host_a.length ~= host_b.length then return host_a.length > host_b.length end
  if path_a.class ~= path_b.class then return path_a.class > path_b.class end
  if path_a.length ~= path_b.length then return path_a.length > path_b.length end
  -- Among paths with parameters, what comes first depends on where these stand.
  if (path_a.has_parameters or path_b.has_parameters) and path_a.text ~= path_b.text then return false end
  if a.least > b.most then return true end
  return a.least == a.most and b.least == b.most and a.least == b.least and is_earlier
end

--- Whether a request can fit both, and whether the first then wins for sure.
local function compare(a, b, is_earlier)
  local meet, wins = false, true
  if not sets_meet(a.methods, b.methods) then return false, true end
  for _, host_a in ipairs(a.hosts) do
    for _, host_b in ipairs(b.hosts) do
      if hosts_meet(host_a, host_b) then
        for _, path_a in ipairs(a.paths) do
          for _, path_b in ipairs(b.paths) do
            if paths_meet(path_a, path_b) then
              meet = true
              wins = wins and beats(a, host_a, path_a, b, host_b, path_b, is_earlier)
            end
          end
        end
      end
    end
  end
  return meet, wins
end

--- Sets priority where our own order would choose otherwise, or might.
-- @tparam {table,...} routes in the order of the file, each with rank; rank is taken away
function precedence.assign(routes)
  local order, shapes, place = {}, {}, {}
  for i, route in ipairs(routes) do
    order[i], shapes[route], place[route] = route, shape(route), i
  end
  table.sort(order, function(a, b)
    if a.rank ~= b.rank then return a.rank < b.rank end
    return place[a] < place[b]
  end)
  for i = #order, 1, -1 do
    local first = shapes[order[i]]
    for j = i + 1, #order do
      local second = shapes[order[j]]
      if second.priority >= first.priority then
        local meet, wins = compare(first, second, place[order[i]] < place[order[j]])
        if meet then first.priority = wins and second.priority or second.priority + 1 end
      end
    end
  end
  for _, route in ipairs(routes) do
    if shapes[route].priority > 0 then route.priority = shapes[route].priority end
    route.rank = nil
  end
end

return precedence
