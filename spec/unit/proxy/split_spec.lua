--- Which of several services a request of one route gets.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local held = {}                 -- what a split points to

--- A split of services 1, 2, ... by their weights; names are a, b, ...
local function split_of(weights, o)
  o = o or {}
  local arena = core.arena()
  local split = C.split_new(arena, #weights)
  if o.cookie then split.cookie = core.slice(o.cookie) end
  split.max_age_s = o.max_age or 0
  for i, weight in ipairs(weights) do
    local name = o.names and o.names[i] or string.char(96 + i)
    C.split_add(split, arena, ffi.cast("struct service_slot *", i), core.slice(name), weight)
    held[#held + 1] = { arena, name, o }
  end
  return split
end

local function number_of(share) return tonumber(ffi.cast("intptr_t", share.service)) end

--- How often each service came, of n.
local function counts_of(n, services, choose)
  local counts = {}
  for i = 1, services do counts[i] = 0 end
  for i = 1, n do
    local number = number_of(choose(i))
    counts[number] = counts[number] + 1
  end
  return counts
end

--- Pearson's sum over the services with a weight; those without one must have had nothing.
local function chi_square(counts, weights)
  local total, n, sum = 0, 0, 0
  for i, weight in ipairs(weights) do total, n = total + weight, n + counts[i] end
  for i, weight in ipairs(weights) do
    local expected = n * weight / total
    if weight == 0 then assert.equal(0, counts[i]) else sum = sum + (counts[i] - expected) ^ 2 / expected end
  end
  return sum
end

-- One in a million by chance, for 1 to 4 degrees of freedom.
local BOUNDS = { 23.93, 27.63, 30.66, 33.38 }

local function bound_of(weights)
  local n = 0
  for _, weight in ipairs(weights) do n = n + (weight > 0 and 1 or 0) end
  return BOUNDS[n - 1] or 0.001
end

local WEIGHTS = {
  { 95, 5 }, { 1, 1 }, { 1, 1000 }, { 3, 2, 1 }, { 0, 7, 3 }, { 5, 0 }, { 10, 20, 30, 40 }, { 1, 1, 1, 1, 1 },
  { 1000000, 1000000 }, { 1 },
}

describe("a split", function()
  for _, weights in ipairs(WEIGHTS) do
    local words = table.concat(weights, ":")

    it("draws by weight: " .. words, function()
      local split, random = split_of(weights), ffi.new("struct random", core.seed())
      local counts = counts_of(40000, #weights, function() return C.split_draw(split, random) end)
      assert.is_true(chi_square(counts, weights) < bound_of(weights), table.concat(counts, " "))
    end)

    it("gives keys by weight: " .. words, function()
      local split, seed = split_of(weights), core.seed()
      local counts = counts_of(40000, #weights, function(i)
        return C.split_of_key(split, core.slice(("user-%d-%d"):format(seed, i)))
      end)
      assert.is_true(chi_square(counts, weights) < bound_of(weights), table.concat(counts, " "))
    end)
  end

  it("gives the same key the same service, in any order of the services", function()
    local split = split_of({ 3, 2, 1 })
    local turned = split_of({ 1, 3, 2 }, { names = { "c", "a", "b" } })
    for i = 1, 500 do
      local key = core.slice("user " .. i)
      local number = number_of(C.split_of_key(split, key))
      assert.equal(number, number_of(C.split_of_key(split, key)))
      assert.equal(number % 3 + 1, number_of(C.split_of_key(turned, key)))
    end
  end)

  it("moves no more keys than it must when weights change", function()
    local before, after = split_of { 95, 5, 0 }, split_of { 95, 10, 0 }
    local moved = 0
    for i = 1, 20000 do
      local key = core.slice("user " .. i)
      local from, to = number_of(C.split_of_key(before, key)), number_of(C.split_of_key(after, key))
      if from ~= to then
        assert.same({ 1, 2 }, { from, to })
        moved = moved + 1
      end
    end
    -- From 5 to 10 of 105: 4.52 % of 20,000 are 905; six standard deviations around it.
    assert.is_true(math.abs(moved - 905) < 6 * math.sqrt(905), moved)
  end)

  it("takes all keys from a service whose weight becomes 0, and from no other", function()
    local before, after = split_of { 50, 30, 20 }, split_of { 50, 30, 0 }
    for i = 1, 5000 do
      local key = core.slice("user " .. i)
      local from, to = number_of(C.split_of_key(before, key)), number_of(C.split_of_key(after, key))
      if from == 3 then assert.not_equal(3, to) else assert.equal(from, to) end
    end
  end)

  it("knows its tokens, and nothing else", function()
    local split = split_of({ 1, 1, 0 }, { cookie = "shop" })
    for i = 0, 1 do
      local token = ffi.string(split.shares[i].token, 16)
      assert.is_truthy(token:find "^%x+$")
      assert.equal(i + 1, number_of(C.split_of_token(split, core.slice(token))))
      for _, text in ipairs { token:sub(1, 15), token .. "0", token:upper():reverse(), "" } do
        assert.is_true(C.split_of_token(split, core.slice(text)) == nil, text)
      end
    end
    assert.is_true(C.split_of_token(split, core.slice(ffi.string(split.shares[2].token, 16))) == nil)
    assert.is_true(C.split_of_token(split, core.slice "a") == nil)
  end)

  it("writes its cookie", function()
    local split = split_of({ 1 }, { cookie = "shop" })
    local text = "shop=" .. ffi.string(split.shares[0].token, 16) .. "; Path=/; HttpOnly; SameSite=Lax"
    assert.equal(text, core.text(C.split_set_cookie(split.shares[0], false)))
    assert.equal(text .. "; Secure", core.text(C.split_set_cookie(split.shares[0], true)))
    split = split_of({ 1 }, { cookie = "shop", max_age = 4294967295 })
    text = core.text(C.split_set_cookie(split.shares[0], false))
    assert.is_truthy(text:find("; Max-Age=4294967295; Path=/", 1, true))
  end)
end)
