--- The C core for specs, through FFI: functions, types and constants as the headers in src/ declare them.
-- The headers' own text is what ffi.cdef gets, so that a spec cannot disagree with the layout it tests. Static inline
-- functions are no symbols; where a spec needs one it says what it does in Lua.
local C = require "tidegate.ffi"
local ffi = require "ffi"

local core = { C = C }

-- C declarations are made once per process, even where busted loads this module again.
local declared = pcall(ffi.typeof, "struct router_answer")

local function cdef(text, where)
  if declared then return end
  local ok, why = pcall(ffi.cdef, text)
  if not ok then error(where .. ": " .. why, 0) end
end

-- What the headers take from the system's.
cdef([[
  typedef uint32_t socklen_t;
  struct sockaddr { uint16_t sa_family; char sa_data[14]; };
  struct sockaddr_in { uint16_t sin_family; uint8_t sin_port[2], sin_addr[4], sin_zero[8]; };
  struct sockaddr_in6 { uint16_t sin6_family; uint8_t sin6_port[2]; uint32_t flow; uint8_t sin6_addr[16];
                        uint32_t scope; };
  struct sockaddr_un { uint16_t sun_family; char sun_path[108]; };
  void *mmap(void *at, size_t len, int protection, int flags, int fd, int64_t offset);
  int mprotect(void *at, size_t len, int protection);
]], "core.lua")

local function read(name)
  local file = assert(io.open("src/" .. name), "specs run in the folder that holds src/")
  local text = file:read "*a"
  file:close()
  return text
end

--- The enum that a table of X(NAME, ...) lines stands for, written out.
local function expand_tables(text, tables)
  for name, lines in text:gmatch "#define ([%u_]+)_TABLE%(X%)(.-[^\\]\n)" do
    tables[name] = {}
    for value in lines:gmatch "X%(([%u%d_]+)" do table.insert(tables[name], value) end
  end
  return (text:gsub("([%u_]+)_TABLE%(([%u_]+)_ENUM%)", function(name, prefix)
    local values = {}
    for i, value in ipairs(tables[name]) do values[i] = prefix .. "_" .. value .. "," end
    return table.concat(values, " ")
  end))
end

core.tables = {}

local function declare(name)
  local text = expand_tables(read(name), core.tables)
    :gsub("/%* ffi { %*/.-/%* } ffi %*/", "")       -- tidegate.ffi has declared these
    :gsub("/%*.-%*/", "")
    :gsub("\\\n", " ")
    :gsub("\n#[^\n]*", ""):gsub("^#[^\n]*", "")
    :gsub("\nstatic inline [^\n]*{[^\n]*}", "")
    :gsub("\nstatic inline .-\n}", "")
    :gsub("_Atomic ", "")
    :gsub("_Alignas(%b())", "__attribute__((aligned%1))")
  cdef(text, "src/" .. name)
end

for _, name in ipairs {
  "base/rc.h", "base/slice.h", "base/arena.h", "base/buf.h", "base/clock.h", "base/list.h", "base/longest.h",
  "base/map.h",
  "base/queue.h", "base/random.h", "base/regex.h", "base/regex_literals.h", "base/regex_set.h", "base/utf8.h",
  "net/deadline.h", "net/addr.h", "net/proxy_protocol.h", "net/resolver.h", "net/loop.h", "net/listener.h",
  "net/dns_message.h", "net/hosts.h", "net/names.h",
  "net/stream.h", "net/stream_memory.h", "net/resolve_async.h", "net/tls_context.h",
  "http/header.h", "http/url.h", "http/h1_parse.h", "http/h1_chunked.h", "http/request.h", "http/h1_write.h",
  "http/host_memo.h",
  "http/h1_server_head.h",
  "http/cookie.h", "http/keep_alive.h", "http/query.h", "http/request_timeout.h", "http/ws_frame.h", "http/ws_check.h",
  "http/ws_handshake.h", "http/ws_deflate.h",
  "proxy/route_pattern.h", "proxy/router.h", "proxy/split.h",
} do
  declare(name)
end
-- What picks nodes stands on much of the rest.
for _, name in ipairs {
  "base/lock.h", "base/freelist.h", "base/log.h", "http/h1_input.h", "http/h1_output.h", "http/up_h1.h",
  "proxy/window.h", "proxy/retry.h", "proxy/breaker.h", "proxy/gate.h", "proxy/supply.h",
  "proxy/adaptive.h", "proxy/overload.h",
  "proxy/health.h", "proxy/node_state.h", "proxy/pool.h", "proxy/node.h", "proxy/ring.h",
  "proxy/least.h", "proxy/service.h", "proxy/balancer.h", "proxy/service_slot.h", "proxy/generation.h",
} do
  declare(name)
end

--- The name of a result code: "OK", "AGAIN", ...
function core.rc(code)
  return core.tables.RC[tonumber(code) + 1]
end

-- -- bytes --

local PAGE, AREA = 4096, 1024 * 1024
local area = ffi.C.mmap(nil, AREA + PAGE, 3, 0x22, -1, 0)      -- read and write; private, anonymous
assert(ffi.cast("intptr_t", area) ~= -1)
assert(ffi.C.mprotect(ffi.cast("char *", area) + AREA, PAGE, 0) == 0)

--- A slice of these bytes right before an unreadable page, so that an overrun crashes. One at a time: the next call
-- overwrites it.
-- @tparam string bytes
-- @tparam ?number padding readable bytes behind it, default 0
-- @tparam ?string filler what the padding is filled with
function core.guarded(bytes, padding, filler)
  padding = padding or 0
  local at = ffi.cast("char *", area) + AREA - padding - #bytes
  ffi.copy(at, bytes, #bytes)
  ffi.fill(at + #bytes, padding, (filler or "\r"):byte())
  return ffi.new("struct slice", at, #bytes)
end

--- A slice of a Lua string; the caller keeps the string.
function core.slice(text)
  return ffi.new("struct slice", text, #text)
end

--- The bytes of a slice, or nil where it points nowhere.
function core.text(slice)
  if slice.at == nil then return nil end
  return ffi.string(slice.at, slice.len)
end

--- An arena that is freed with its cdata.
function core.arena(block_bytes)
  local arena = ffi.gc(ffi.new "struct arena", C.arena_free)
  C.arena_init(arena, block_bytes or 4096)
  return arena
end

--- A seed for cases made at random: TIDEGATE_SEED, else the time; printed, so that a failure can be had again.
function core.seed()
  local seed = tonumber(os.getenv "TIDEGATE_SEED") or os.time()
  math.randomseed(seed)
  io.write(("\nTIDEGATE_SEED=%d\n"):format(seed))
  return seed
end

return core
