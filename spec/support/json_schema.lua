--- Documents held against JSON Schemas by a validator that is not ours: Debian's python3-jsonschema.
require "tidegate.ffi"       -- makes tidegate.yaml known
local files = require "support.files"
local json = require "tidegate.tide.json"
local shell = require "support.shell"
local yaml = require "tidegate.yaml"

local json_schema = {}

-- Reads { schemas, documents: [{ schema: number from 1, value }] }; a line for each document: "good", or what is wrong.
local PROGRAM = [[
import json, sys
from jsonschema import Draft7Validator
with open(sys.argv[1]) as file:
    given = json.load(file)
validators = []
for schema in given["schemas"]:
    Draft7Validator.check_schema(schema)
    validators.append(Draft7Validator(schema))
for document in given["documents"]:
    error = next(validators[document["schema"] - 1].iter_errors(document["value"]), None)
    print("good" if error is None else "%s: %s" % (list(error.absolute_path), error.message[:200].replace("\n", " ")))
]]

--- What a YAML text means to an editor: plain values, nothing put in.
local function plain(node)
  if node.kind == "scalar" then
    if node.type == "null" then return json.null end
    if node.type == "string" then return node.text end
    return node.value
  end
  local result = node.kind == "list" and json.array {} or {}
  for i, item in ipairs(node.items or {}) do result[i] = plain(item) end
  for _, entry in ipairs(node.entries or {}) do result[entry.key] = plain(entry.value) end
  return result
end

--- The values of a YAML text; nil where it is none.
function json_schema.values(text)
  local node, errors = yaml.parse(text, "text")
  if not node or #(errors or {}) > 0 then return nil end
  return plain(node)
end

--- Validates.
-- @tparam {table,...} schemas each must be good by the rules for schemas
-- @tparam {table,...} documents { schema = which, value = of json_schema.values }
-- @treturn {string,...} "good", or what is wrong, for each
function json_schema.validate(schemas, documents)
  local folder = files.folder()
  files.write(folder .. "/validate.py", PROGRAM)
  files.write(folder .. "/given.json", assert(json.encode { schemas = schemas, documents = documents }))
  local out, list = shell.must(("/usr/bin/python3 %s/validate.py %s/given.json"):format(folder, folder)), {}
  for line in out:gmatch "[^\n]+" do list[#list + 1] = line end
  assert(#list == #documents, out)
  return list
end

return json_schema
