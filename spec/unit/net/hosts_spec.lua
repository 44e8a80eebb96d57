--- The names of /etc/hosts.
local core = require "support.core"
local ffi = require "ffi"
local files = require "support.files"
local C = core.C

describe("hosts", function()
  local file, hosts

  before_each(function()
    file = files.folder() .. "/hosts"
    hosts = C.hosts_new(file)
  end)
  after_each(function() C.hosts_free(hosts) end)

  local function find(name, max)
    local out, text, list = ffi.new "struct addr[8]", ffi.new("char[?]", C.ADDR_TEXT), {}
    local n = C.hosts_find(hosts, core.slice(name), out, max or 8)
    for i = 0, n - 1 do list[i + 1] = ffi.string(text, C.addr_print(out[i], text)) end
    return list
  end

  it("are none without a file", function() assert.same({}, find "localhost") end)

  it("have aliases, several addresses, comments and blanks", function()
    files.write(file, table.concat({
      "# 10.9.9.9 a", "127.0.0.1\tlocalhost  Local.Test\r", "::1 localhost#x", "  10.0.0.1 a b # c", "10.0.0.2 a",
      "nonsense a", "10.0.0.3", "", "10.0.0.4 last",
    }, "\n"))
    assert.same({ "127.0.0.1:0", "[::1]:0" }, find "localhost")
    assert.same({ "127.0.0.1:0" }, find "local.test")
    assert.same({ "10.0.0.1:0", "10.0.0.2:0" }, find "a")
    assert.same({ "10.0.0.1:0" }, find("a", 1))
    assert.same({}, find "c")
    assert.same({}, find "x")
    assert.same({ "10.0.0.4:0" }, find "last")
  end)

  it("are read again when the file has changed, or is gone", function()
    files.write(file, "10.0.0.1 a\n")
    assert.same({ "10.0.0.1:0" }, find "a")
    files.write(file, "10.0.0.22 a\n")
    assert.same({ "10.0.0.22:0" }, find "a")
    os.remove(file)
    assert.same({}, find "a")
  end)

  it("pass over lines with NUL bytes, and take long ones", function()
    local names = {}
    for i = 1, 5000 do names[i] = "n" .. i end
    files.write(file, "10.0.0.1 a\0b\n10.0.0.2 " .. table.concat(names, " ") .. "\n10.0.0.3 c")
    assert.same({}, find "a")
    assert.same({ "10.0.0.2:0" }, find "n5000")
    assert.same({ "10.0.0.3:0" }, find "c")
  end)
end)
