--- What the commands of the command line share: exit codes, and words to whoever typed them.
local say = {}

-- Exit codes: as asked; could not; wrong words or a wrong configuration.
say.GOOD, say.FAILED, say.BAD = 0, 1, 2

--- A line on the standard output.
function say.line(...) io.stdout:write(string.format(...), "\n") end

--- A line on the standard error, with the program's name before it.
function say.complain(...) io.stderr:write("tidegate: ", string.format(...), "\n") end

--- A value as JSON for programs, with its keys in order.
function say.json(value)
  io.stdout:write(assert(require("tidegate.tide.json").encode(value, { pretty = true })), "\n")
end

local function width_of(rows, column)
  local width = 0
  for _, row in ipairs(rows) do width = math.max(width, #row[column]) end
  return width
end

--- Rows of texts as columns, two spaces between them; the first row is their heads.
-- @tparam {{string,...},...} rows each with as many texts as the first
-- @tparam[opt] table right columns that are numbers, by their place: { [3] = true }
-- @treturn string
function say.columns(rows, right)
  local lines, widths = {}, {}
  for column = 1, #rows[1] do widths[column] = width_of(rows, column) end
  for i, row in ipairs(rows) do
    local cells = {}
    for column, text in ipairs(row) do
      local space = (" "):rep(widths[column] - #text)
      cells[column] = right and right[column] and space .. text or text .. space
    end
    lines[i] = table.concat(cells, "  "):gsub("%s+$", "") .. "\n"
  end
  return table.concat(lines)
end

return say
