std = "luajit"
max_line_length = 120
self = false
-- Broken on purpose.
exclude_files = { "spec/fixtures/config/plugins" }
-- What every plugin finds.
files["plugins"] = { read_globals = { "tide" } }
files["bench/plugins"] = { read_globals = { "tide" } }
files["bench/conf"] = { std = "ngx_lua" }
-- Specs catch what the command line writes; spec/run.lua hands busted its words.
files["spec"] = { std = "+busted", globals = { "arg", "io.stdout", "io.stderr" } }
