--- Recent requests, asked of the routers of two configurations.
local C = require "tidegate.ffi"
local config = require "tidegate.config"
local files = require "support.files"
local replay = require "tidegate.replay"

local function load(lines)
  local folder = files.folder()
  files.write(folder .. "/tidegate.yaml", 'listen: [":8080", { address: ":8081", name: inner }]\n' .. lines)
  local result = config.load(folder .. "/tidegate.yaml", { variables = {} })
  if not result.good then error(result.report:text(), 2) end
  return result
end

--- Lines without a client are of this one.
local function parse(text)
  return replay.parse(text:gsub("\n", "\t127.0.0.1\n"), function(number)
    return ({ [3] = "0.0.0.0:8080", [4] = "0.0.0.0:8081" })[number]
  end)
end

local function compare(text, before, after)
  local old, new = load(before), load(after)
  local found = replay.compare(parse(text), old, new)
  C.tide_generation_drop(old.generation)
  C.tide_generation_drop(new.generation)
  return found
end

local A = "routes: [{ name: a, path: /a, respond: {} }]\n"

local cases = {
  { "is not told where it goes to the same route", "3\tGET\thost\t/a\n", A, A, 1, "" },
  { "is told where it would have no route", "3\tGET\thost\t/a\n", A, "routes: []\n", 1,
    "  GET host/a: a (FILE:2) -> 404\n" },
  { "is told where it would have one", "3\tGET\thost\t/b\n", A, "routes: [{ name: b, path: /b, respond: {} }]\n", 1,
    "  GET host/b: 404 -> b (FILE:2)\n" },
  { "is told where its method would be wrong", "3\tPOST\thost\t/a\n", A,
    "routes: [{ name: a, path: /a, methods: GET, respond: {} }]\n", 1, "  POST host/a: a (FILE:2) -> 405\n" },
  { "is told where its route would do something else", "3\tGET\thost\t/a\n", A,
    "routes: [{ name: a, path: /a, respond: { status: 204 } }]\n", 1,
    "  GET host/a: a (FILE:2, status 200) -> a (FILE:2, status 204)\n" },
  { "is told once, with how often it was there", "3\tGET\thost\t/a\n3\tGET\thost\t/a\n3\tGET\thost\t/x\n", A,
    "routes: []\n", 3, "  GET host/a: a (FILE:2) -> 404, 2 times\n" },
  { "is asked at the listener that it came in at", "3\tGET\thost\t/a\n4\tGET\thost\t/a\n", A,
    "routes: [{ name: a, path: /a, on: inner, respond: {} }]\n", 2, "  GET host/a: a (FILE:2) -> 404\n" },
  { "is left out where its listener is gone or it cannot be asked", "9\tGET\thost\t/a\n3\tGET\tno host\t/a\n", A,
    "routes: []\n", 0, "" },
  { "is asked with its client, and without what is not remembered", "3\tGET\thost\t/a\n", A,
    "routes:\n  - { name: a, path: /a, when: { client_ip: { cidr: 127.0.0.0/8 } }, respond: {} }\n" ..
    "  - { name: tester, path: /a, when: { header: x-test, exists: true }, respond: {} }\n", 1, "" },
  { "is left out where its line is none", "rubbish\n3\tGET\n\n", A, "routes: []\n", 0, "" },
}

describe("a recent request", function()
  for _, case in ipairs(cases) do
    it(case[1], function()
      local found = compare(case[2], case[3], case[4])
      local text = replay.text(found):gsub("/[^ ()]*tidegate%.yaml", "FILE")
      assert.equal(case[5], found.asked)
      assert.equal(case[6], (text:gsub("^of %d+ recent requests %d+ would go elsewhere:\n", "")))
    end)
  end

  it("is one of twenty that are told, of more", function()
    local lines = {}
    for i = 1, 30 do lines[i] = ("3\tGET\thost\t/%d\n"):format(i) end
    local text = replay.text(compare(table.concat(lines), "routes: []\n", "routes: [{ path: /*, respond: {} }]\n"))
    assert.truthy(text:find "^of 30 recent requests 30 would go elsewhere:\n")
    assert.truthy(text:find("  ... and 10 more\n", 1, true))
  end)
end)
