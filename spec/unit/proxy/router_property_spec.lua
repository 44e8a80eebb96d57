--- The compiled router finds what a slow look through all routes finds: the route, its parameters, or what is allowed.
-- PAIRS: how many random pairs of routes and request; TIDEGATE_SEED: which.
local core = require "support.core"
local router = require "support.router"

local PAIRS = tonumber(os.getenv "PAIRS") or 60000
local REQUESTS = 60             -- for one list of routes

local function pick(list) return list[math.random(#list)] end

local function some(make, chance)
  if math.random() > chance then return nil end
  local list = {}
  for i = 1, math.random(3) do list[i] = make() end
  return list
end

-- -- hosts --

local LABELS = { "a", "b", "c", "api7", "xn--b" }

local HOST_REGEXES = {
  "~^api\\d+\\.", "~^[ab]\\.", "~b", "~\\.c$", "~^a\\.b$", "~(a|c)$", "~^", "~API\\d", "~(?i)B\\.C", "~^(?:a\\.)+c$",
  "~xn--b\\.", "~\\Aa", "~a{2,}|c", "~^api7\\.b(\\.c)?$",
}

local function name()
  local labels = {}
  for i = 1, math.random(3) do labels[i] = pick(LABELS) end
  return table.concat(labels, ".")
end

local function host_pattern()
  local kind = math.random(8)
  return kind == 1 and pick(HOST_REGEXES) or kind <= 3 and "*." .. name() or name()
end

-- -- paths --

local SEGMENTS = { "", "a", "b", "ab", "users", "a%2F", "item17" }
local PARAMETERS = { "{x}", "{y}", "{z}", "{id}" }

local function path()
  local text = {}
  for i = 1, math.random(4) do text[i] = "/" .. pick(SEGMENTS) end
  return table.concat(text)
end

local function parameter_path()
  local text, left = {}, { unpack(PARAMETERS) }
  for i = 1, math.random(4) do
    text[i] = "/" .. (math.random(2) == 1 and pick(SEGMENTS) or table.remove(left, math.random(#left)))
  end
  return table.concat(text)
end

-- Pieces that are joined without sense: what the router reads off the text of a pattern must hold for all of them.
local PIECES = {
  "a", "b", "/", "/a", "/users", "/users/", "item", "item1", "\\d", "\\d+", "[ab]", "[^/]+", "[]a]", "[a\\]]", "(a|b)",
  "(?:/a)?", "(?<x>[^/]*)", "(?<y>\\w+)", ".", ".*", "a*", "a+", "b?", "a{0,2}", "a{1,2}", "a{2}", "s{0}", "%2F",
  "\\/", "$", "^", "(?=/a)", "(?!/b)", "(?<=/)", "(?<!a)", "[[:alpha:]]", "\\.", "|", "(?i)", "(?#)a)", "\\Qa\\E",
  "(/users)", "\\x61", "e", "r", "\\b", "(?i:A)", "\\K", "(?>a+)", "(*ACCEPT)", "a++", "b*?", "#", " ",
}

local is_good = {}

local function regex()
  while true do
    local text = { math.random(2) == 1 and "~^" or "~" }
    for i = 1, math.random(5) do text[i + 1] = pick(PIECES) end
    text = table.concat(text)
    if is_good[text] == nil then
      is_good[text] = pcall(router.compile, { { paths = { text } } })
    end
    if is_good[text] then return text end
  end
end

local function path_pattern()
  local kind = math.random(20)
  if kind <= 4 then return regex() end
  local text = kind <= 10 and parameter_path() or path()
  return math.random(3) == 1 and text .. "/*" or text
end

-- -- routes and requests --

local function method() return pick { "GET", "GET", "POST", "TRACE", "PURGE", "BAN" } end

local function route()
  return {
    hosts = some(host_pattern, 0.6), paths = some(path_pattern, 0.8), methods = some(method, 0.3),
    listeners = some(function() return math.random(0, 2) end, 0.2),
    priority = math.random(5) == 1 and math.random(-1, 1) or 0,
    conditions = math.random(5) == 1 and math.random(3) or 0, enabled = math.random(20) > 1,
  }
end

local function request(routes)
  local holding = {}
  for i = 1, #routes do holding[i] = math.random(2) == 1 end
  return {
    host = math.random(10) == 1 and "" or name(), path = math.random(20) == 1 and "*" or path(), method = method(),
    listener = math.random(0, 2), holding = holding,
  }
end

local function words(routes, r)
  local out = { ("%s %s%s on %d"):format(r.method, r.host, r.path, r.listener) }
  for i, one in ipairs(routes) do
    out[#out + 1] = ("%d%s %s %s %s %s priority %d, %d conditions %s"):format(i, one.enabled and "" or " (off)",
      table.concat(one.hosts or {}, ","), table.concat(one.paths or {}, ","), table.concat(one.methods or {}, ","),
      table.concat(one.listeners or {}, ","), one.priority, one.conditions, r.holding[i] and "hold" or "do not")
  end
  return table.concat(out, "\n")
end

describe("router", function()
  it(("finds what a slow look through all routes finds, %d times"):format(PAIRS), function()
    core.seed()
    local pairs_done, found, captured, refused = 0, 0, 0, 0
    while pairs_done < PAIRS do
      local routes = {}
      for i = 1, math.random(math.random(40)) do routes[i] = route() end
      local find = router.build(routes)
      for _ = 1, REQUESTS do
        local r = request(routes)
        local order, first, second = find(r)
        local wanted, wanted_first, wanted_second = router.find_slowly(routes, r)
        if order ~= wanted or first ~= wanted_first or (not order and second ~= wanted_second) then
          assert.same({ wanted, wanted_first, wanted_second }, { order, first, second }, words(routes, r))
        end
        found = found + (order and 1 or 0)
        captured = captured + (order and first ~= "" and 1 or 0)
        refused = refused + (not order and first ~= 0 and 1 or 0)
      end
      pairs_done = pairs_done + REQUESTS
    end
    -- Each kind of answer has its share.
    assert.is_true(found > pairs_done / 4 and captured > pairs_done / 50 and refused > pairs_done / 100,
                   ("%d found, %d captured, %d refused"):format(found, captured, refused))
  end)
end)
