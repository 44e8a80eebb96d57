--- How a run of specs is told: failures at once and in full, one line per file, and the sums into the file that
-- OUTCOME names ("passed failed pending", and "end" once all is over), for whoever adds them up.
local busted = require "busted"
local base = require "busted.outputHandlers.base"
local pretty = require "pl.pretty"
local system = require "system"

local all_cases = os.getenv "V" == "1"

local function text_of(message)
  if message == nil then return "no message" end
  return type(message) == "string" and message or pretty.write(message)
end

local function indented(text)
  return "    " .. text:gsub("\n+$", ""):gsub("\n", "\n    ")
end

return function()
  local handler = base()
  local passed, failed, pending = 0, 0, 0
  local file_passed, file_failed, file_started = 0, 0, 0

  local function show(record)
    local trace = record.element.trace or record.trace or {}
    local place = trace.short_src and ("%s:%s: "):format(trace.short_src, trace.currentline) or ""
    print("FAILED " .. place .. (record.name or ""))
    print(indented(text_of(record.message)))
    if record.isError and record.trace and record.trace.traceback then print(indented(record.trace.traceback)) end
    io.stdout:flush()
  end

  local function on_file_start()
    file_passed, file_failed, file_started = 0, 0, system.gettime()
    return nil, true
  end

  local function note(last_word)
    local path = os.getenv "OUTCOME"
    if not path then return end
    local out = assert(io.open(path, "w"))
    out:write(("%d %d %d%s\n"):format(passed, failed, pending, last_word))
    out:close()
  end

  local function on_file_end(file)
    print(("%-52s %4d passed%s  %6.2f s"):format(
      file.name, file_passed, file_failed > 0 and (", %d FAILED"):format(file_failed) or "",
      system.gettime() - file_started))
    io.stdout:flush()
    note ""
    return nil, true
  end

  local function on_test_end(element, _, status)
    if status == "success" then
      passed, file_passed = passed + 1, file_passed + 1
      if all_cases then print("  " .. handler.getFullName(element)) end
    elseif status == "pending" then
      pending = pending + 1
      print("pending: " .. handler.getFullName(element))
    else
      failed, file_failed = failed + 1, file_failed + 1
      show(status == "failure" and handler.failures[#handler.failures] or handler.errors[#handler.errors])
    end
    io.stdout:flush()
    return nil, true
  end

  --- What goes wrong outside a case: in a file itself, in setup and teardown.
  local function on_error(element)
    if element.descriptor ~= "it" then
      failed, file_failed = failed + 1, file_failed + 1
      show(handler.errors[#handler.errors])
    end
    return nil, true
  end

  local function on_suite_end()
    note " end"
    return nil, true
  end

  busted.subscribe({ "file", "start" }, on_file_start)
  busted.subscribe({ "file", "end" }, on_file_end)
  busted.subscribe({ "test", "end" }, on_test_end)
  busted.subscribe({ "error" }, on_error)
  busted.subscribe({ "failure" }, on_error)
  busted.subscribe({ "suite", "end" }, on_suite_end)
  return handler
end
