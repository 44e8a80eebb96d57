require "tidegate.ffi"
local Report = require "tidegate.config.report"
local Sources = require "tidegate.config.source"
local discover = require "tidegate.plugin.discover"
local plugins = require "support.plugins"

local function scan(folder, dirs, texts)
  local sources, report = Sources.new(folder, texts), Report.new()
  local list = {}
  for i, dir in ipairs(dirs) do list[i] = folder .. "/" .. dir end
  local found, why = discover.scan(list, sources, report)
  return found, report, sources, why
end

describe("finding plugins [T34, T38, X5]", function()
  local folder = plugins.folder {
    ["a/one.lua"] = "", ["a/two/init.lua"] = "", ["a/two/part.lua"] = "", ["a/three.lua"] = "", ["a/lib/util.lua"] = "",
    ["a/one_spec.lua"] = "", ["a/.hidden.lua"] = "", ["a/one.lua~"] = "", ["a/README.md"] = "", ["a/one.json"] = "{}",
    ["a/two/plugin.json"] = "{}", ["a/three.d/x.lua"] = "", ["b/three/init.lua"] = "", ["b/four.lua"] = "",
  }
  local found, report, sources = scan(folder, { "a", "b", "nowhere" })

  it("takes files and folders by their names", function()
    assert.same({ "four", "one", "three", "two" }, discover.names(found))
    assert.equal("", report:text())
    assert.same({ "a/one.lua", "a/two/init.lua" }, { found.one.path, found.two.path })
    assert.same({ folder .. "/a/one.json", folder .. "/a/two/plugin.json" },
                { found.one.manifest_file, found.two.manifest_file })
  end)

  it("lets the later folder win", function()
    assert.equal("b/three/init.lua", found.three.path)
    assert.is_nil(found.three.twin)
  end)

  it("finds modules beside init.lua, in the folder of plugins, and in its lib", function()
    plugins.write(folder, { ["a/two/lib/x.lua"] = "1", ["a/shared/y.lua"] = "2" })
    local fresh = Sources.new(folder)
    assert.same({ path = "a/two/lib/x.lua", source = "1" }, (discover.module(found.two, "lib.x", fresh)))
    assert.same({ path = "a/shared/y.lua", source = "2" }, (discover.module(found.two, "shared.y", fresh)))
    assert.same({ path = "a/lib/util.lua", source = "" }, (discover.module(found.one, "util", fresh)))
    local module, looked = discover.module(found.two, "no.thing", fresh)
    assert.is_nil(module)
    assert.same({ "a/two/no/thing.lua", "a/no/thing.lua", "a/lib/no/thing.lua" }, looked)
  end)

  for _, name in ipairs { "", "..", "a..b", "../one", "/etc/passwd", ".x", "a/b", "a\0b" } do
    it(("knows no module %q"):format(name), function()
      assert.is_nil((discover.module(found.two, name, sources)))
    end)
  end

  it("lists the modules beside init.lua, at any depth", function()
    plugins.write(folder, { ["a/two/deep/er/z.lua"] = "", ["a/two/part_spec.lua"] = "" })
    assert.same({ "deep.er.z", "lib.x", "part" }, discover.beside(found.two, Sources.new(folder)))
    assert.same({}, discover.beside(found.one, sources))
  end)

  it("refuses more modules than 200 beside an init.lua", function()
    local texts = { ["c/many/init.lua"] = "" }
    for i = 1, 201 do texts[("c/many/m%d.lua"):format(i)] = "" end
    plugins.write(folder, texts)
    local many, _, own = scan(folder, { "c" })
    local list, why = discover.beside(many.many, own)
    assert.same({ {}, "expected at most 200 modules beside it, found 201" }, { list, why })
  end)

  it("refuses more plugins than 1000", function()
    local texts = {}
    for i = 1, 1001 do texts[("d/p%d.lua"):format(i)] = "" end
    plugins.write(folder, texts)
    local none, _, _, why = scan(folder, { "d" })
    assert.same({ {}, "expected at most 1000 plugins, found 1001" }, { none, why })
  end)

  it("refuses a file over 1 MiB", function()
    plugins.write(folder, { ["e/big.lua"] = (" "):rep(2 ^ 20 + 1), ["e/fits.lua"] = (" "):rep(2 ^ 20) })
    local big, _, own = scan(folder, { "e" })
    assert.same({ false, "cannot be read: larger than 1 MiB" }, { discover.read(big.big, own) })
    assert.is_true((discover.read(big.fits, own)))
  end)

  it("finds in texts that were kept what there was when they were, whatever is there now", function()
    local kept = plugins.folder { ["p/x.lua"] = "old" }
    local before, _, own = scan(kept, { "p", "q" })
    assert.is_true((discover.read(before.x, own)))
    plugins.write(kept, { ["p/x.lua"] = "new", ["p/y.lua"] = "", ["q/x.lua"] = "newer" })
    local after, _, again = scan(kept, { "p", "q" }, own.texts)
    assert.same({ "x" }, discover.names(after))
    assert.is_true((discover.read(after.x, again)))
    assert.equal("old", after.x.source)
  end)
end)

describe("what is shown of a file's name", function()
  it("is short enough for LuaJIT not to cut it", function()
    local deep = ("folder/"):rep(12)
    local folder = plugins.folder { [deep .. "p/tidal.lua"] = "" }
    local path = scan(folder, { deep .. "p" }).tidal.path
    assert.is_true(#path <= 55)
    assert.truthy(path:find "folder/p/tidal.lua$")
    assert.equal(path .. ":1: x", select(2, pcall(assert(loadstring('error "x"', "@" .. path)))))
  end)

  it("is absolute outside of the gateway's folder", function()
    local folder = plugins.folder { ["p/tidal.lua"] = "" }
    local found = discover.scan({ folder .. "/p" }, Sources.new "/nowhere", Report.new())
    assert.equal(folder .. "/p/tidal.lua", found.tidal.path)
  end)
end)

describe("what is watched for a plugin", function()
  it("is every file that could be it, and the folders of these", function()
    local sources = Sources.new "/base"
    discover.watch("x", { "/base/p" }, sources)
    assert.same({ "/base/p", "/base/p/x.lua", "/base/p/x.json", "/base/p/x", "/base/p/x/init.lua",
                  "/base/p/x/plugin.json" }, sources.list)
  end)
end)
