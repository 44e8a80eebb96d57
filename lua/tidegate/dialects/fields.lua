--- Fields of the schemas that say what other gateways' files look like.
local schema = require "tidegate.config.schema"

local fields = {}

function fields.text(name) return { name, type = "string" } end
function fields.truth(name) return { name, type = "boolean" } end
function fields.number(name) return { name, type = "integer", min = 0 } end
function fields.any(name) return { name, type = "any" } end
function fields.texts(name) return { name, type = "list", single = true, of = "string" } end
function fields.map(name) return { name, type = "map", of = "string" } end

--- A map with these fields.
function fields.section(name, ...)
  return { name, type = "object", fields = schema.ordered { ... } }
end

--- A list of maps with these fields.
function fields.list_of(name, ...)
  return { name, type = "list", of = { type = "object", fields = schema.ordered { ... } } }
end

--- The same field, which must be there.
function fields.required(field)
  field.required = true
  return field
end

return fields
