--- tidegate convert: a configuration in the native language, whatever language it is written in.
local Report = require "tidegate.config.report"
local Sources = require "tidegate.config.source"
local dialects = require "tidegate.dialects"
local files = require "tidegate.dialects.files"
local telling = require "tidegate.cli.say"

--- Says all that the report holds.
-- @treturn number the exit code
local function told(report)
  io.stderr:write(report:text())
  if report:has_errors() then return telling.BAD end
  return #report.warnings > 0 and telling.FAILED or telling.GOOD
end

--- The same for a dialect whose native form is there whatever was left out: each thing that was is told.
local function told_in_full(report)
  io.stderr:write(report:text { max = math.huge })
  return report:has_errors() and telling.FAILED or telling.GOOD
end

--- The language of a file: the one that is named, else the one that its keys show. "" is the native one.
local function language(root, wanted)
  if not wanted then return dialects.recognise(root) or "" end
  return wanted ~= "native" and wanted or ""
end

--- Prints the native form.
-- @tparam table options file; from: name of a dialect
-- @treturn number exit code: 0; 1 where something had to be left out; 2 where there is no native form
return function(options)
  local report = Report.new()
  local path = Sources.absolute(options.file, Sources.working_folder())
  local sources = Sources.new(Sources.folder_of(path))
  if options.from and options.from ~= "native" and not dialects.find(options.from) then
    telling.complain("there is no dialect %s; known are %s and native", options.from,
                     table.concat(dialects.NAMES, ", "))
    return telling.BAD
  end
  local format = options.from and options.from ~= "native" and dialects.find(options.from).format
  local root = files.read_main(path, options.file, sources, report, format or nil)
  if not root then return told(report) end
  local name = language(root, options.from)
  if name ~= "" and dialects.find(name).is_partial and not report:has_errors() then
    io.stdout:write(dialects.text(dialects.find(name).convert(root, sources, report)))
    return told_in_full(report)
  end
  local native = name == "" and root or dialects.find(name).convert(root, sources, report)
  if native and not report:has_errors() then io.stdout:write(dialects.text(native)) end
  return told(report)
end
