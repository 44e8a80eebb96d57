--- Compressed bodies for plugins that want to see them plain: gzip and deflate (zlib), br (brotli).
-- A decoder belongs to one body. What it gives for one chunk is bounded: a small body that becomes huge ends there.
local ffi = require "ffi"

local decode = {}

local OUT_MAX = 16 * 1024 * 1024        -- bytes that one chunk may become
local PIECE = 64 * 1024

ffi.cdef [[
typedef struct {
  const uint8_t *next_in; unsigned avail_in; unsigned long total_in;
  uint8_t *next_out; unsigned avail_out; unsigned long total_out;
  const char *msg; void *state; void *zalloc, *zfree, *opaque;
  int data_type; unsigned long adler, reserved;
} tide_z_stream;
const char *zlibVersion(void);
int inflateInit2_(tide_z_stream *stream, int window_bits, const char *version, int size);
int inflate(tide_z_stream *stream, int flush);
int inflateEnd(tide_z_stream *stream);
int inflateReset(tide_z_stream *stream);
typedef struct BrotliDecoderStateStruct BrotliDecoderState;
BrotliDecoderState *BrotliDecoderCreateInstance(void *alloc, void *free, void *opaque);
int BrotliDecoderDecompressStream(BrotliDecoderState *state, size_t *available_in, const uint8_t **next_in,
                                  size_t *available_out, uint8_t **next_out, size_t *total_out);
void BrotliDecoderDestroyInstance(BrotliDecoderState *state);
]]

--- The functions are in the gateway itself, which is linked with both; in specs they are in a library.
local function library(name, symbol)
  if pcall(function() return ffi.C[symbol] end) then return ffi.C end
  return ffi.load(name)
end

local z, brotli = library("z.so.1", "inflate"), library("brotlidec.so.1", "BrotliDecoderCreateInstance")

local Z_OK, Z_STREAM_END, Z_BUF_ERROR = 0, 1, -5
local BROTLI_ERROR, BROTLI_SUCCESS = 0, 1
local out = ffi.new("uint8_t[?]", PIECE)

local function too_large() error("a chunk of a compressed body becomes more than 16 MiB", 0) end

-- -- zlib --

local Inflate = {}
Inflate.__index = Inflate

local AUTOMATIC = 32 + 15       -- gzip or zlib, told by the first bytes
local RAW = -15
local GZIP_FIRST = 0x1f

local function open_zlib(bits)
  local stream = ffi.gc(ffi.new "tide_z_stream", z.inflateEnd)
  if z.inflateInit2_(stream, bits, z.zlibVersion(), ffi.sizeof "tide_z_stream") ~= Z_OK then
    error("zlib has no memory", 0)
  end
  return stream
end

--- "deflate" means zlib's format (RFC 9110 section 8.4.1.2), but some send the raw one: the first byte tells.
local function open_inflate(is_deflate)
  return setmetatable({ is_deflate = is_deflate }, Inflate)
end

function Inflate:start(chunk)
  local first = chunk:byte()
  local is_zlib = first % 16 == 8 and (#chunk < 2 or (first * 256 + chunk:byte(2)) % 31 == 0)
  self.stream = open_zlib(self.is_deflate and not is_zlib and RAW or AUTOMATIC)
end

function Inflate:feed(chunk)
  if not self.stream then self:start(chunk) end
  if self.ended then
    if self.is_deflate or chunk:byte() ~= GZIP_FIRST then return "" end
    z.inflateReset(self.stream)
  end
  local stream, parts, size = self.stream, {}, 0
  stream.next_in, stream.avail_in = ffi.cast("const uint8_t *", chunk), #chunk
  repeat
    stream.next_out, stream.avail_out = out, PIECE
    local result = z.inflate(stream, 0)
    if result ~= Z_OK and result ~= Z_STREAM_END and result ~= Z_BUF_ERROR then
      error("a compressed body is broken: " .. (stream.msg ~= nil and ffi.string(stream.msg) or "zlib " .. result), 0)
    end
    local n = PIECE - stream.avail_out
    size = size + n
    if size > OUT_MAX then too_large() end
    parts[#parts + 1] = ffi.string(out, n)
    self.ended = result == Z_STREAM_END
    -- RFC 1952 section 2.2: a gzip file may have several members; what else follows is no part of it.
    if self.ended and stream.avail_in > 0 and stream.next_in[0] == GZIP_FIRST then
      z.inflateReset(stream)
      self.ended = false
    end
  until self.ended or (stream.avail_in == 0 and stream.avail_out > 0)
  return table.concat(parts)
end

-- -- brotli --

local Brotli = {}
Brotli.__index = Brotli

local available_in, available_out = ffi.new "size_t[1]", ffi.new "size_t[1]"
local next_in, next_out = ffi.new "const uint8_t *[1]", ffi.new "uint8_t *[1]"

local function open_brotli()
  local state = brotli.BrotliDecoderCreateInstance(nil, nil, nil)
  if state == nil then error("brotli has no memory", 0) end
  return setmetatable({ state = ffi.gc(state, brotli.BrotliDecoderDestroyInstance) }, Brotli)
end

function Brotli:feed(chunk)
  if self.ended then return "" end
  local parts, size = {}, 0
  available_in[0], next_in[0] = #chunk, ffi.cast("const uint8_t *", chunk)
  repeat
    available_out[0], next_out[0] = PIECE, out
    local result = brotli.BrotliDecoderDecompressStream(self.state, available_in, next_in, available_out, next_out, nil)
    if result == BROTLI_ERROR then error("a compressed body is broken: not brotli", 0) end
    local n = PIECE - tonumber(available_out[0])
    size = size + n
    if size > OUT_MAX then too_large() end
    parts[#parts + 1] = ffi.string(out, n)
    self.ended = result == BROTLI_SUCCESS
  until self.ended or (available_in[0] == 0 and available_out[0] > 0)
  return table.concat(parts)
end

local OPEN = {
  gzip = function() return open_inflate(false) end,
  ["x-gzip"] = function() return open_inflate(false) end,
  deflate = function() return open_inflate(true) end,
  br = open_brotli,
}

--- A decoder for a Content-Encoding.
-- @tparam ?string coding the value of the field
-- @treturn ?table decoder:feed(chunk) gives what the chunk stands for, and raises where it cannot be; decoder.ended;
--   nil for no coding, for several, and for one that is not known
function decode.open(coding)
  local open = coding and OPEN[coding:lower()]
  return open and open()
end

--- The plain bytes of a chunk. A body that ends before its coding does is broken.
-- @tparam table decoder
-- @tparam string chunk
-- @tparam boolean last
-- @treturn string
function decode.feed(decoder, chunk, last)
  local text = ""
  if chunk ~= "" then
    text = decoder:feed(chunk)
    decoder.is_begun = true
  end
  if last and decoder.is_begun and not decoder.ended then error("a compressed body ends too early", 0) end
  return text
end

return decode
