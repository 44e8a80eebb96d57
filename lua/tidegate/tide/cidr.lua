--- IP addresses and networks: RFC 4632 (IPv4), RFC 4291 (IPv6). IPv4-mapped IPv6 addresses are IPv4 addresses here.
-- An address is four words of 32 bits. One of IPv4 is -1, 0, 0 and its only word: below all of IPv6, and in none of its
-- networks. A set is kept as sorted ranges that do not touch, and is searched by halves, without making anything.
local ffi = require "ffi"
local opaque = require "tidegate.tide.opaque"
local words = require "tidegate.tide.words"

local cidr = {}

ffi.cdef [[
  int inet_pton(int family, const char *text, void *to);
  const char *inet_ntop(int family, const void *from, char *to, uint32_t size);
]]

local INET, INET6 = 2, 10
local TEXT_MAX = 45             -- of an IPv6 address with an IPv4 address at its end

local doubles = ffi.typeof "double[?]"
local bytes, printed = ffi.new "uint8_t[16]", ffi.new "char[46]"
local address = doubles(4)      -- the one read last

local function word(i)
  return ((bytes[i] * 256 + bytes[i + 1]) * 256 + bytes[i + 2]) * 256 + bytes[i + 3]
end

local function set_address(a, b, c, d)
  address[0], address[1], address[2], address[3] = a, b, c, d
end

--- Reads an address.
-- @treturn ?number 4 or 6; nil where it is none
-- @treturn ?boolean whether it is an IPv4 address that was written as one of IPv6
local function read(text)
  -- C sees a text up to its first NUL only.
  if #text > TEXT_MAX or text:find("\0", 1, true) then return nil end
  if ffi.C.inet_pton(INET, text, bytes) == 1 then
    set_address(-1, 0, 0, word(0))
    return 4, false
  end
  if ffi.C.inet_pton(INET6, text, bytes) ~= 1 then return nil end
  if word(0) == 0 and word(4) == 0 and word(8) == 0xFFFF then
    set_address(-1, 0, 0, word(12))
    return 4, true
  end
  set_address(word(0), word(4), word(8), word(12))
  return 6, false
end

--- Four words as text, in the form of RFC 5952.
local function print_words(range)
  local is_v4 = range[0] < 0
  for i = 0, 15 do bytes[i] = math.floor(range[math.floor(i / 4)] / 256 ^ (3 - i % 4)) % 256 end
  return ffi.string(ffi.C.inet_ntop(is_v4 and INET or INET6, bytes + (is_v4 and 12 or 0), printed, 46))
end

--- The order of four words in an array and the address read last: below 0, 0, above 0.
local function compare(range, at)
  local difference = range[at] - address[0]
  if difference == 0 then difference = range[at + 1] - address[1] end
  if difference == 0 then difference = range[at + 2] - address[2] end
  if difference == 0 then difference = range[at + 3] - address[3] end
  return difference
end

--- Whether one of n ranges has the address read last.
local function has_address(ranges, n)
  local low, high = 0, n          -- the last range that begins at or below the address is in [low - 1, high)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if compare(ranges, middle * 8) <= 0 then low = middle + 1 else high = middle end
  end
  return low > 0 and compare(ranges, (low - 1) * 8 + 4) >= 0
end

-- -- networks --

local function refuse(text, why)
  return nil, ("expected a network such as 10.0.0.0/8 or an address, found %s%s"):format(words.quote(text), why or "")
end

--- The bits of a prefix, of 128; nil and why where it is none.
local function read_prefix(text, family, is_mapped)
  local most = (family == 6 or is_mapped) and 128 or 32
  local bits = (text == "0" or text:find "^[1-9]%d?%d?$") and tonumber(text)
  if not bits or bits > most then return nil, (", whose prefix is not 0 to %d bits"):format(most) end
  if is_mapped and bits < 96 then return nil, ", where the prefix of an IPv4-mapped network is 96 to 128 bits" end
  return bits + 128 - most
end

--- The first and the last address that share so many bits with the address read last, as one range.
local function range_of(prefix)
  local range = doubles(8)
  for i = 0, 3 do
    local size = 2 ^ math.min(32, math.max(0, 32 * (i + 1) - prefix))
    range[i] = address[i] - address[i] % size
    range[i + 4] = range[i] + size - 1
  end
  return range
end

local methods = {}
local Network = opaque("a network", methods, { "family", "bits", "address", "text" }, function(state)
  return state.text
end)

--- The state of a network.
local function parse(text)
  local before, behind = text:match "^([^/]*)/(.*)$"
  local family, is_mapped = read(before or text)
  if not family then return refuse(text) end
  local prefix, why = 128, nil
  if behind then prefix, why = read_prefix(behind, family, is_mapped) end
  if not prefix then return refuse(text, why) end
  local range = range_of(prefix)
  local bits = family == 4 and prefix - 96 or prefix
  local network = { family = family, bits = bits, address = print_words(range), ranges = range }
  network.text = ("%s/%d"):format(network.address, bits)
  if compare(range, 0) ~= 0 then return refuse(text, "; the network of that address is " .. network.text) end
  return network
end

--- Reads a network, or an address as the network that has it alone.
-- Strict: no zeros in front of a number, no zone, nothing behind the prefix (10.0.0.1/8 is refused).
-- @tparam string text
-- @treturn[1] table family (4 or 6), address (the first, as text), bits (of the prefix), text; contains(ip)
-- @return[2] nil and why
function cidr.parse(text)
  if type(text) ~= "string" then words.misuse("cidr.parse", "a text", text) end
  local network, why = parse(text)
  if not network then return nil, why end
  return Network.new(network)
end

--- Whether the network has an address.
-- @tparam string ip
-- @treturn boolean false for what is no address
function methods:contains(ip)
  local network = Network.need(self, "network:contains")
  if type(ip) ~= "string" then words.misuse("network:contains", "a text", ip) end
  return read(ip) ~= nil and has_address(network.ranges, 1)
end

--- What kind of address a text is.
-- @tparam string text
-- @treturn ?number 4 or 6, IPv4-mapped ones being 4; nil where it is none
function cidr.family(text)
  if type(text) ~= "string" then words.misuse("cidr.family", "a text", text) end
  return (read(text))
end

-- -- sets --

local set_methods = {}
local Set = opaque("a set of networks", set_methods, { "count" })

--- The order of ranges: by the first address, of those that begin alike the largest first.
local function goes_before(a, b)
  for i = 0, 3 do
    if a[i] ~= b[i] then return a[i] < b[i] end
  end
  for i = 4, 7 do
    if a[i] ~= b[i] then return a[i] > b[i] end
  end
  return false
end

--- Whether a range begins at or before the address at the end of another one.
local function begins_within(range, last)
  for i = 0, 3 do
    if range[i] ~= last[i] then return range[i] < last[i] end
  end
  return true
end

--- One array of the sorted ranges, without those that are within another one. Networks overlap in no other way.
local function pack(sorted)
  local ranges, n = doubles(#sorted * 8), 0
  for _, range in ipairs(sorted) do
    if n == 0 or not begins_within(range, ranges + (n * 8 - 4)) then
      ffi.copy(ranges + n * 8, range, 8 * 8)
      n = n + 1
    end
  end
  return ranges, n
end

--- A set of networks that is asked again and again: made once, in `new`.
-- @tparam {string,...} list networks and addresses, as cidr.parse takes them
-- @treturn[1] table with contains(ip), and count of the ranges that it came down to
-- @return[2] nil and why
function cidr.set(list)
  if type(list) ~= "table" then words.misuse("cidr.set", "a list of texts", list) end
  local sorted = {}
  for i, text in ipairs(list) do
    if type(text) ~= "string" then words.misuse("cidr.set", "a list of texts", text) end
    local network, why = parse(text)
    if not network then return nil, ("network %d: %s"):format(i, why) end
    sorted[i] = network.ranges
  end
  table.sort(sorted, goes_before)
  local ranges, count = pack(sorted)
  return Set.new { ranges = ranges, count = count }
end

--- Whether one of the networks has an address.
-- @tparam string ip
-- @treturn boolean false for what is no address
function set_methods:contains(ip)
  local set = Set.need(self, "set:contains")
  if type(ip) ~= "string" then words.misuse("set:contains", "a text", ip) end
  return read(ip) ~= nil and has_address(set.ranges, set.count)
end

return cidr
