--- net/stream_memory: a byte stream whose far end is in the hands of a spec.
local core = require "support.core"
local ffi = require "ffi"
local C = core.C

-- A callback cannot be called from compiled code.
jit.off(true, true)

local READABLE, WRITABLE, HUP, ERROR = C.IO_READABLE, C.IO_WRITABLE, C.IO_HUP, C.IO_ERROR

describe("a stream in memory", function()
  local stream, wire, events, callback
  local at, n = ffi.new "char[64]", ffi.new "size_t[1]"

  before_each(function()
    stream, wire, events = ffi.new "struct stream", ffi.new "struct wire", 0
    callback = ffi.cast("void (*)(struct io *)", function() events = events + 1 end)
  end)

  after_each(function()
    if stream.io.fd >= 0 then stream.ops.close(stream) end
    C.wire_free(wire)
    callback:free()
  end)

  local function open(is_open)
    C.stream_memory_init(stream, wire, is_open ~= false)
    stream.io.on_event = callback
  end

  local function read(size)
    local rc = core.rc(stream.ops.read(stream, at, size or 64, n))
    return rc, rc == "OK" and ffi.string(at, n[0]) or nil
  end

  local function write(text)
    local rc = core.rc(stream.ops.write(stream, core.slice(text), n))
    return rc, tonumber(n[0])
  end

  local function ready(bit_wanted) return bit.band(stream.io.ready, bit_wanted) ~= 0 end

  it("is open, registered, and has nothing to read", function()
    open()
    assert.is_true(stream.io.fd >= 0)
    assert.is_true(stream.io.registered)
    assert.equal("AGAIN", (read()))
    assert.equal("OK", core.rc(stream.ops.handshake(stream)))
  end)

  it("reads what the wire sends, and says when there is no more", function()
    open()
    assert.is_true(C.wire_send(wire, core.slice "hello"))
    assert.equal(1, events)
    assert.same({ "OK", "hel" }, { read(3) })
    assert.is_true(ready(READABLE))
    assert.same({ "OK", "lo" }, { read(3) })
    assert.is_false(ready(READABLE))
    assert.equal("AGAIN", (read()))
  end)

  it("gives the wire what was written", function()
    open()
    assert.same({ "OK", 2 }, { write "ab" })
    assert.same({ "OK", 1 }, { write "c" })
    assert.equal("abc", ffi.string(wire.out.at + wire.out.start, wire.out["end"] - wire.out.start))
  end)

  it("ends when the wire ends, after what was sent", function()
    open()
    C.wire_send(wire, core.slice "last")
    C.wire_end(wire)
    assert.is_true(ready(HUP))
    assert.same({ "OK", "last" }, { read() })
    assert.equal("EOF", (read()))
    assert.equal("OK", (write "still taken"))
    assert.is_false(C.wire_send(wire, core.slice "late"))
  end)

  it("is reset with the wire, whatever is still to be read", function()
    open()
    C.wire_send(wire, core.slice "lost")
    C.wire_reset(wire)
    assert.is_true(ready(ERROR))
    assert.equal("RESET", (read()))
    assert.equal("RESET", (write "x"))
  end)

  it("is opened by the wire", function()
    open(false)
    assert.is_false(ready(WRITABLE))
    assert.equal("AGAIN", (write "x"))
    C.wire_open(wire)
    assert.equal(1, events)
    assert.equal("OK", (write "x"))
  end)

  it("is refused by the wire", function()
    open(false)
    C.wire_refuse(wire, 111)
    assert.equal(111, wire.error)
    assert.is_true(ready(ERROR))
    assert.equal("RESET", (read()))
  end)

  it("says that it writes no more, or is closed", function()
    open()
    stream.ops.shut(stream)
    assert.is_true(wire.shut)
    assert.equal("RESET", (write "x"))
    C.wire_send(wire, core.slice "read on")
    assert.same({ "OK", "read on" }, { read() })
    stream.ops.close(stream)
    assert.is_true(stream.io.fd < 0)
    assert.is_true(wire.stream == nil)
    assert.is_false(C.wire_send(wire, core.slice "nobody"))
    assert.equal("RESET", (read()))
    assert.equal("RESET", (write "x"))
    assert.equal(1, events)
  end)
end)
