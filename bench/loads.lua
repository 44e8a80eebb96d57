--- What is measured in rounds, with the target of each figure for Tidegate.
-- A load is a row: name, title, the generator's options, and its figures. A figure is a value that the generator
-- reports, and "most" what it may be: as a ratio to nginx in the same round, or to the load's other side.
--   setup    how the proxies are set up for it, see setups.lua (plain); those that cannot be so are left out
--   alone    Tidegate only
--   without  the other side, which the same proxy runs beside it: its title, and where it differs (setup, load options)
--   to       of a figure: "without": the ratio is to the other side
--   added    of a figure: it is not a ratio, but what the load adds to the other side
--   turns    so often per round, for shorter times: where sides lie so close that one measurement each says nothing
--   beside   of the load: another load, which runs at the same time and is not measured
return {
  {
    name = "get_1k", title = "1 KiB GET, keep-alive, 64 connections",
    load = { path = "/1k", expect = 1024 },
    figures = { { value = "cpu", most = 0.75 } },
  },
  {
    name = "one_connection", title = "1 KiB GET, one connection, all on one core",
    load = { path = "/1k", expect = 1024, connections = 1 }, one_core = true,
    figures = { { value = "p50", most = 0.90 }, { value = "cpu", most = 0.90 } },
  },
  {
    name = "get_100k", title = "100 KiB GET, 64 connections",
    load = { path = "/100k", expect = 100 * 1024 },
    figures = { { value = "cpu", most = 0.75 } },
  },
  {
    name = "get_10m", title = "10 MiB GET, 8 connections",
    load = { path = "/10m", expect = 10 * 1024 * 1024, connections = 8 },
    figures = { { value = "cpu", most = 0.72 } },
  },
  {
    name = "post_16k", title = "POST 16 KiB, echoed, 64 connections",
    load = { path = "/", body = 16 * 1024 },
    figures = { { value = "cpu", most = 0.70 } },
  },
  {
    name = "connect", title = "1 KiB GET, one connection per request",
    load = { path = "/1k", expect = 1024, mode = "connect" },
    figures = { { value = "cpu", most = 0.85 } },
  },
  {
    name = "tls", title = "1 KiB GET, TLS 1.3, keep-alive, 64 connections",
    load = { path = "/1k", expect = 1024, tls = true },
    figures = { { value = "cpu", most = 0.70 } },
  },
  {
    name = "handshake", title = "TLS 1.3 handshake and one request per connection",
    load = { path = "/1k", expect = 1024, tls = true, mode = "connect" },
    figures = { { value = "cpu", most = 0.97 } },
  },
  {
    name = "websocket", title = "64 byte WebSocket message and its echo, 64 connections",
    load = { path = "/ws", message = 64 },
    figures = { { value = "cpu", most = 1.03 } },
  },
  {
    name = "websocket_checked", title = "such a message, its frames checked (by Tidegate alone)",
    setup = "websocket_checked", load = { path = "/ws", message = 64 },
    figures = { { value = "cpu", most = 1.15 } },
  },
  {
    name = "routes", title = "10,000 routes over 1,000 hosts", setup = "routes", alone = true,
    load = { targets = "targets", expect = 1024 }, without = { title = "one route", setup = "plain" },
    figures = { { value = "cpu", to = "without", most = 1.05 } },
  },
  {
    name = "watched", title = "health checks, breaker and retries, nothing failing", setup = "watched", alone = true,
    turns = 4, load = { path = "/1k", expect = 1024 }, without = { title = "none of them", setup = "plain" },
    figures = { { value = "cpu", to = "without", most = 1.03 } },
  },
  {
    name = "websocket_hook", title = "such a message through a Lua hook (in Tidegate alone)",
    setup = "websocket_hook", load = { path = "/ws", message = 64 },
    figures = { { value = "cpu", most = 1.35 } },
  },
  {
    name = "hook", title = "Lua reads two headers and sets two", setup = "plugins", turns = 4,
    load = { path = "/hook/1k", expect = 1024 }, without = { title = "no plugin", path = "/none/1k" },
    figures = { { value = "cpu", added = true, most = 0.4 }, { value = "cpu", most = 0.62 } },
  },
  {
    name = "bucket", title = "Lua asks a token bucket of the client", setup = "plugins",
    load = { path = "/bucket/1k", expect = 1024, sources = 64 },
    figures = { { value = "cpu", most = 0.65 } },
  },
  {
    name = "ten_plugins", title = "ten trivial plugins", setup = "plugins", alone = true, turns = 4,
    load = { path = "/ten/1k", expect = 1024 }, without = { title = "no plugin", path = "/none/1k" },
    figures = { { value = "cpu", added = true, most = 3 } },
  },
  {
    name = "body_hook", title = "1 MiB response through a Lua hook, 16 connections", setup = "plugins", alone = true,
    load = { path = "/body/1m", expect = 1024 * 1024, connections = 16 },
    without = { title = "no plugin", path = "/none/1m" },
    figures = { { value = "cpu", to = "without", most = 1.5 } },
  },
  {
    -- Twice the CPU budget of a hook, lua.budget.
    name = "endless_loop", title = "another route in an endless loop, 8 connections", setup = "plugins", alone = true,
    load = {
      path = "/none/1k", expect = 1024, connections = 8,
      beside = { path = "/endless/1k", status = 500, connections = 1 },
    },
    without = { title = "none", beside = false },
    figures = { { value = "p99", added = true, most = 20000 } },
  },
}
