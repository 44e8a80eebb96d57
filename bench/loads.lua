--- What is measured, with the target of each figure for Tidegate.
-- A load is a row: name, title, the generator's options, and its figures. A figure is a value that the generator
-- reports; "most" is the highest allowed ratio to nginx in the same round.
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
}
