local core = require "support.core"
local ffi = require "ffi"
local C = core.C

local why = ffi.new "struct pattern_error"
local out = ffi.new "struct slice[1]"

--- The pattern as the router takes it; nil and what is wrong.
local function parse(kind, text)
  local arena = core.arena()
  local rc
  if kind == "host" then
    rc = C.host_pattern_parse(core.guarded(text), arena, out, why)
  else
    rc = C.path_pattern_parse(core.guarded(text), true, arena, out, why)
  end
  if core.rc(rc) == "OK" then return core.text(out[0]) end
  return nil, ffi.string(why.text)
end

describe("route_pattern", function()
  local good = {
    { "host", "a.b", "a.b" }, { "host", "*.a.b", "*.a.b" }, { "host", "~^a*", "~^a*" },
    { "path", "/", "/" }, { "path", "/a/*", "/a/*" }, { "path", "/a/**", "/a/*" }, { "path", "/*", "/*" },
    { "path", "/%7eme/{id}", "/~me/{id}" }, { "path", "/{a}/{b}", "/{a}/{b}" }, { "path", "/{a}/x/*", "/{a}/x/*" },
    { "path", "/a//b", "/a/b" }, { "path", "/{a}/", "/{a}/" }, { "path", "~^/a*{", "~^/a*{" },
  }
  for _, case in ipairs(good) do
    it(("takes the %s %s"):format(case[1], case[2]), function() assert.equal(case[3], parse(case[1], case[2])) end)
  end

  local HOST = 'expected a name, "*." and a name, or "~" and a regular expression, found "%s"'
  local PATH = 'expected "/exact", "/with/{parameters}", "/prefix/*" or "~" and a regular expression, found "%s"'
  local WHOLE = 'a parameter is a whole segment, as in "/users/{id}", found "%s"'
  local NAME = 'expected at most 32 letters, digits and "_" as name of a parameter, found "%s"'
  local bad = {
    { "host", "", HOST }, { "host", "*", HOST }, { "host", "*.", HOST }, { "host", "a.*", HOST },
    { "host", "*.*.a", HOST },
    { "path", "", PATH }, { "path", "a", PATH }, { "path", "/a*", PATH }, { "path", "/a/***", PATH },
    { "path", "/a/*/b", PATH }, { "path", "/a{b}", WHOLE, "a{b}" }, { "path", "/{b", WHOLE, "{b" },
    { "path", "/b}", WHOLE, "b}" }, { "path", "/{a}{b}", WHOLE, "{a}{b}" }, { "path", "/}{", WHOLE, "}{" },
    { "path", "/{", WHOLE, "{" }, { "path", "/{}", 'a parameter needs a name, as in "/users/{id}"' },
    { "path", "/{a-b}", NAME, "a-b" }, { "path", "/{1}", NAME, "1" }, { "path", "/{" .. ("a"):rep(33) .. "}", NAME,
      ("a"):rep(33) },
    { "path", "/{a}/{a}", "the parameter {a} is there twice" },
    { "path", ("/a"):rep(128) .. "/{b}", "more than 16 parameters, or one behind segment 128" },
    { "path", ("/a"):rep(2049), "expected at most 4096 bytes, found 4098" },
    { "path", "/{a}/%zz", '"%s" can never be a request\'s path: a broken percent-encoding, or ".." above the root' },
  }
  for _, case in ipairs(bad) do
    it(("refuses the %s %s"):format(case[1], case[2]:sub(1, 40)), function()
      assert.same({ nil, (case[3]:gsub("%%s", function() return case[4] or case[2] end)) }, { parse(case[1], case[2]) })
    end)
  end

  local params = ffi.new "struct route_param[16]"

  local function params_of(pattern, path)
    local list = {}
    for i = 0, C.path_pattern_params(core.slice(pattern), nil, core.guarded(path), params) - 1 do
      list[i + 1] = core.text(params[i].name) .. "=" .. core.text(params[i].value)
    end
    return table.concat(list, " ")
  end

  local fitting = {
    { "/users/{id}", "/users/7", "id=7" }, { "/users/{id}", "/users/", nil }, { "/users/{id}", "/users", nil },
    { "/users/{id}", "/users/7/", nil }, { "/{a}/x/{b}", "/1/x/2", "a=1 b=2" }, { "/{a}/x/{b}", "/1/y/2", nil },
    { "/{a}/*", "/1", "a=1" }, { "/{a}/*", "/1/2/3", "a=1" }, { "/{a}/*", "/", nil }, { "/{a}", "*", nil },
    { "/*", "*", "" }, { "", "*", "" }, { "/a", "/a", "" }, { "/a%2Fb/{c}", "/a%2Fb/%2F", "c=%2F" },
  }
  for _, case in ipairs(fitting) do
    it(("%s and %s"):format(case[1], case[2]), function()
      local fits = C.path_pattern_fits(core.slice(case[1]), nil, core.guarded(case[2]))
      assert.equal(case[3] ~= nil, fits)
      if fits then assert.equal(case[3], params_of(case[1], case[2])) end
    end)
  end
end)
