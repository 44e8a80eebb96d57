--- Each plugin that comes with the gateway has an example that runs as it is.
local base64 = require "tidegate.tide.base64"
local client = require "support.client"
local files = require "support.files"
local gateway = require "support.gateway"
local lfs = require "lfs"

local BOB = "Authorization: Basic " .. base64.encode "bob:correct horse"
local PREFLIGHT = { "Origin: https://a.example.org", "Access-Control-Request-Method: PUT" }

-- What the example's own commands send, and what comes of it.
local TRIES = {
  auth = { { target = "/admin/" }, 401, "^Unauthorized" },
  basic_auth = { { headers = { BOB } }, 200, "x%-consumer: bob" },
  body_limit = { { method = "POST", body = ("x"):rep(2000) }, 413, "over 1024 bytes" },
  cors = { { method = "OPTIONS", headers = PREFLIGHT }, 204, "" },
  dynamic_route = { {}, 200, "^blue\n$" },
  echo = { { method = "POST", target = "/a?b=c", body = "some text" }, 200, '"body":"some text"' },
  headers = { { target = "/?user=bob" }, 200, "x%-real%-ip: 127.0.0.1\r\nx%-user: bob" },
  jwt_auth = { { headers = { "Authorization: Bearer abc" } }, 401, "^Unauthorized" },
  logging = { { method = "POST", body = '{"a":1}', headers = { "Content-Type: application/json" } }, 200, '{"a":1}' },
  rate_limit = { {}, 200, "^GET" },
  replace = { { headers = { "X-Mail: bob@example.com" } }, 200, "X%-Mail: %(address%)" },
  request_id = { { headers = { "X-Request-Id: my-own" } }, 200, "^GET" },
  require_header = { { headers = { "X-Api-Version: 3" } }, 400, "^Wrong value" },
  respond = { { target = "/page" }, 503, "<p>/page is closed" },
  rewrite = { { target = "/shop/42/details?debug=1&page=2" }, 200, "^GET /items/details%?id=42&page=2 " },
  websocket = { { target = "/ws", headers = { "Connection: Upgrade", "Upgrade: websocket", "Origin: https://b.test" } },
                403, "^this origin" },
}

describe("the example of", function()
  for name in lfs.dir "plugins" do
    local plugin = name:match "^([%l%d_]+)%.lua$"
    if plugin then
      it(plugin .. " runs", function()
        local text, try = files.read(("conf/examples/%s.yaml"):format(plugin)), TRIES[plugin]
        assert.truthy(text, "it has none")
        assert.truthy(try, "it has no try")
        assert.truthy(text:find(plugin .. ":", 1, true) or text:find(plugin .. "]", 1, true))
        local gw = gateway.start((text:gsub(":8080\"", "127.0.0.1:0\"")))
        local response = assert(client.ask(gw:port(), client.request(try[1]), { method = try[1].method }))
        gw:stop()
        assert.equal(try[2], response.status)
        assert.truthy(response.body:find(try[3]), response.body)
      end)
    end
  end
end)
