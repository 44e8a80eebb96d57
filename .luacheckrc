std = "luajit"
max_line_length = 120
self = false
-- Specs catch what the command line writes; spec/run.lua hands busted its words.
files["spec"] = { std = "+busted", globals = { "arg", "io.stdout", "io.stderr" } }
