--- Warns of routes that get in each other's way: those that never get a request because others take them all, and pairs
-- of which both fit some requests with nothing to prefer one by but where their parameters stand, or the file's order.
-- Each route is looked up in tables of the others, never compared with all of them.

local BUCKET_MAX = 16           -- routes remembered of one host and path
local KINDS_MAX = 16            -- arrangements of parameters that are compared with each other

-- -- sets of methods and listeners; nil takes all --

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do set[word] = true end
  return set
end

--- Whether a list has all of another.
local function has_all(wide, narrow)
  if not wide then return true end
  if not narrow then return false end
  local set = set_of(wide)
  for _, word in ipairs(narrow) do
    if not set[word] then return false end
  end
  return true
end

--- A member of both; nil where there is none.
local function common(a, b)
  if not a or not b then return (a or b or { "" })[1] end
  local set = set_of(a)
  for _, word in ipairs(b) do
    if set[word] then return word end
  end
  return nil
end

local function takes_methods(wide, narrow)
  if wide.methods then return has_all(wide.methods, narrow.methods) end
  return not (narrow.methods and set_of(narrow.methods).TRACE)      -- without methods: all but TRACE
end

--- How many further conditions a route has, as far as it matters: those of `when` are never equal.
local function conditions(route)
  return (route.methods and 1 or 0) + (route.on and 1 or 0)
end

-- -- paths --

--- The path with all parameters called the same: what fits the same paths is the same text.
local function shape_of(path)
  if not path:find("{", 1, true) or path:sub(1, 1) == "~" then return path end
  return (path:gsub("/{[^/]*}", "/{}"))
end

local function segments_of(path)
  local list = {}
  for segment in path:gmatch "/([^/]*)" do list[#list + 1] = segment end
  return list
end

--- Shapes that fit all that a path fits: itself, the prefixes above it, and itself with a parameter for one segment.
local function wider_shapes(path)
  local shape = shape_of(path)
  local list = { shape, "" }
  if path == "" or path:sub(1, 1) == "~" then return list end
  local segments = segments_of((shape:gsub("/%*$", "")))
  local is_prefix = shape:sub(-2) == "/*"
  for last = 0, #segments do
    local stem = table.concat(segments, "/", 1, last)
    list[#list + 1] = (last > 0 and "/" or "") .. stem .. "/*"
  end
  for i, segment in ipairs(segments) do
    if segment ~= "" and segment ~= "{}" then
      segments[i] = "{}"
      list[#list + 1] = "/" .. table.concat(segments, "/") .. (is_prefix and "/*" or "")
      segments[i] = segment
    end
  end
  return list
end

--- Hosts that take all that a host takes.
local function wider_hosts(host)
  local list = { host, "" }
  if host:sub(1, 1) == "~" then return list end
  local at = host:find(".", host:sub(1, 2) == "*." and 3 or 1, true)
  while at do
    list[#list + 1] = "*" .. host:sub(at)
    at = host:find(".", at + 1, true)
  end
  return list
end

-- -- routes that never get a request --

--- Whether a route takes all that another takes of the same host and path, and wins.
local function covers(route, other, is_higher)
  if route.when or not takes_methods(route, other) or not has_all(route.on, other.on) then return false end
  if is_higher then return true end
  return route.priority == other.priority and not other.when and conditions(route) >= conditions(other)
end

local ANY = { "" }

local function hosts_of(route) return route.hosts or ANY end
local function paths_of(route) return route.paths or ANY end

local function key_of(host, path) return host .. "\0" .. shape_of(path) end

local function put(index, key, route)
  local bucket = index[key]
  if not bucket then
    index[key] = { route }
  elseif #bucket < BUCKET_MAX then
    bucket[#bucket + 1] = route
  end
end

--- Notes a route in an index under all its hosts and paths.
local function add(index, route)
  for _, host in ipairs(hosts_of(route)) do
    for _, path in ipairs(paths_of(route)) do put(index, key_of(host, path), route) end
  end
end

--- The routes that are above others, by host and shape; nil where all have the same priority.
local function raised_of(routes)
  local least, index = math.huge, nil
  for _, route in ipairs(routes) do
    if route.enabled then least = math.min(least, route.priority) end
  end
  for _, route in ipairs(routes) do
    if route.enabled and route.priority > least and not route.when then
      index = index or {}
      add(index, route)
    end
  end
  return index
end

--- A route of higher priority that takes all of a host and path.
local function find_above(raised, route, host, path)
  for _, wider_host in ipairs(wider_hosts(host)) do
    for _, shape in ipairs(wider_shapes(path)) do
      for _, other in ipairs(raised[wider_host .. "\0" .. shape] or {}) do
        if other.priority > route.priority and covers(other, route, true) then return other end
      end
    end
  end
  return nil
end

local function find_before(bucket, route)
  for _, other in ipairs(bucket or {}) do
    if covers(other, route) then return other end
  end
  return nil
end

local function warn_hidden(checker, route, by, is_above)
  local _, path = checker.marks:place(by)
  checker:warn(route, nil, is_above and "never gets a request: %s %s has a higher priority and takes them all"
                                    or "never gets a request: %s %s has the same host and path",
               path, checker:elsewhere(by, nil, route))
end

--- What takes all requests of a route: the first such route, and whether one is of a higher priority; nil where some
-- are left for it.
local function find_hider(raised, index, route)
  local by, is_above = nil, false
  for _, host in ipairs(hosts_of(route)) do
    for _, path in ipairs(paths_of(route)) do
      local above = raised and find_above(raised, route, host, path)
      local other = above or find_before(index[key_of(host, path)], route)
      if not other then return nil end
      by, is_above = by or other, is_above or above ~= nil
    end
  end
  return by, is_above
end

--- @treturn table the routes that get none, as a set
local function check_hidden(checker, routes)
  local raised, index, hidden = raised_of(routes), {}, {}
  for _, route in ipairs(routes) do
    if route.enabled then
      local by, is_above = find_hider(raised, index, route)
      if by then
        hidden[route] = true
        warn_hidden(checker, route, by, is_above)
      else
        add(index, route)
      end
    end
  end
  return hidden
end

-- -- pairs that nothing but a detail decides between --

--- Whether some request could be for both, as far as method and listener say; the method of one, "" for any.
local function shared_method(a, b)
  if not common(a.on, b.on) then return nil end
  return common(a.methods, b.methods)
end

--- i: which of its paths is meant; nil: none.
local function warn_pair(checker, route, i, by, words)
  local is_listed = i and checker.marks[route.paths]
  local _, path = checker.marks:place(by)
  checker:warn(is_listed and route.paths or route, is_listed and i or nil, words, path,
               checker:elsewhere(by, nil, route))
end

local FIRST_WINS = "%%s %%s has the same host and path, and takes %s as well: it wins because it comes first"

--- Tells of the first route that a route shares a host, a path and a method with. True where there is one.
local function tell_of_first(checker, bucket, route, i)
  for _, other in ipairs(bucket or {}) do
    local method = shared_method(other, route)
    if method and other.priority == route.priority and conditions(other) == conditions(route) then
      warn_pair(checker, route, route.paths and i, other, FIRST_WINS:format(method))
      return true
    end
  end
  return false
end

--- Routes of one host and path with methods in common, of which neither has more conditions.
local function check_methods(checker, routes, hidden)
  local index = {}
  local function compare(route)
    for _, host in ipairs(hosts_of(route)) do
      for i, path in ipairs(paths_of(route)) do
        local key = key_of(host, path)
        if tell_of_first(checker, index[key], route, i) then return end
        put(index, key, route)
      end
    end
  end
  for _, route in ipairs(routes) do
    if route.enabled and route.methods and not route.when and not hidden[route] then compare(route) end
  end
end

local Groups = {}
Groups.__index = Groups

function Groups:insert(route, host, path, i)
  local segments, kinds = segments_of((shape_of(path):gsub("/%*$", ""))), {}
  for place, segment in ipairs(segments) do kinds[place] = segment == "{}" and "P" or "L" end
  local key = table.concat({ host, route.priority, #segments, path:sub(-2) == "/*" and "*" or "" }, "\0")
  local group, name = self.by_key[key], table.concat(kinds)
  if not group then
    group = { names = {} }
    self.by_key[key] = group
    table.insert(self.list, group)
  end
  if not group[name] then
    group[name] = {}
    table.insert(group.names, name)
  end
  table.insert(group[name], { route = route, segments = segments, i = i })
end

--- Paths with parameters by all that makes them comparable, then by where their parameters stand.
local function group_paths(routes, hidden)
  local groups = setmetatable({ by_key = {}, list = {} }, Groups)
  for _, route in ipairs(routes) do
    if route.enabled and not hidden[route] then
      for _, host in ipairs(hosts_of(route)) do
        for i, path in ipairs(paths_of(route)) do
          if path:find("{", 1, true) and path:sub(1, 1) ~= "~" then groups:insert(route, host, path, i) end
        end
      end
    end
  end
  return groups.list
end

--- The places where both have texts; nil where one of them has a text wherever the other has one.
local function crossing(a, b)
  local places, more_in_a, more_in_b = {}, false, false
  for place = 1, #a do
    local in_a, in_b = a:sub(place, place) == "L", b:sub(place, place) == "L"
    if in_a and in_b then places[#places + 1] = place end
    more_in_a, more_in_b = more_in_a or (in_a and not in_b), more_in_b or (in_b and not in_a)
  end
  return more_in_a and more_in_b and places or nil
end

local function texts_at(one, places)
  local list = {}
  for i, place in ipairs(places) do list[i] = one.segments[place] end
  return table.concat(list, "/")
end

--- A path that two patterns fit, as far as they say.
local function meeting(a, b)
  local list = {}
  for i, segment in ipairs(a.segments) do
    list[i] = segment ~= "{}" and segment or b.segments[i] ~= "{}" and b.segments[i] or "x"
  end
  return "/" .. table.concat(list, "/")
end

local function check_crossing(checker, first, second, places, told)
  local index = {}
  for _, one in ipairs(first) do
    local key = texts_at(one, places)
    index[key] = index[key] or one
  end
  for _, one in ipairs(second) do
    local other = index[texts_at(one, places)]
    local is_later = other and not told[one.route] and other.route ~= one.route
    if is_later and shared_method(other.route, one.route) and not (other.route.when or one.route.when) then
      told[one.route] = true
      warn_pair(checker, one.route, one.i, other.route,
                ("%%s %%s fits %s as well: of the two the one that is a text for longer wins"):format(
                  meeting(other, one):gsub("%%", "%%%%")))
    end
  end
end

--- Paths of which neither is the nearer one: "/a/{x}" and "/{y}/b".
local function check_parameters(checker, routes, hidden)
  local told = {}
  for _, group in ipairs(group_paths(routes, hidden)) do
    for i = 1, math.min(#group.names, KINDS_MAX) do
      for k = i + 1, math.min(#group.names, KINDS_MAX) do
        local places = crossing(group.names[i], group.names[k])
        if places then check_crossing(checker, group[group.names[i]], group[group.names[k]], places, told) end
      end
    end
  end
end

--- @tparam Checker checker of tidegate.config.check
-- @tparam {table,...} routes without errors, with lists of hosts and paths
return function(checker, routes)
  local hidden = check_hidden(checker, routes)
  check_methods(checker, routes, hidden)
  check_parameters(checker, routes, hidden)
end
