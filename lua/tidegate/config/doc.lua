--- The reference of the configuration language, docs/configuration.md, made of the tree.
-- luajit -e 'io.write(require("tidegate.config.doc").text())' > docs/configuration.md
local schema = require "tidegate.config.schema"
local tree = require "tidegate.config.tree"

local doc = {}

local HEAD = [[
# Configuration

<!-- Made by lua/tidegate/config/doc.lua from lua/tidegate/config/tree.lua. -->

One YAML file (JSON is YAML, too), small when the job is small:

```yaml
listen: [":8080"]
services:
  app: { nodes: ["127.0.0.1:9000"] }
routes:
  - { path: "/*", service: app }
```

Everything else has a default. Files saved are live at once; a file with a mistake changes nothing. `tidegate check`
tells all mistakes of a file, each with its line:

```
tidegate.yaml:5:19: routes[1].servce: unknown key; did you mean "service"?
    5 |   - { path: "/*", servce: app }
      |                   ^
```

Items of lists are counted from 1. `default: -` below means that the key may be left away and nothing stands in for it.

## Values

| type | is |
| --- | --- |
| duration | a number and its unit: `500ms` `30s` `5m` `1h` `7d`, also `1h30m` |
| size | a number of bytes and its unit: `B`, `KiB` `MiB` `GiB` `TiB` (1024), `kB` `MB` `GB` `TB` (1000) |
| boolean | `true` or `false` |
| file | a file name; a relative one starts in `gateway.working_dir` |
| path | a request path. It is compared in normal form: `/a%20b` and `/a b` are the same |
| path pattern | `/a` exactly; `/a/*` (or `/a/**`) is `/a` and all below it; `/*` is everything |
| host pattern | `a.example.com`, or `*.example.com` for all names below it; case does not count |
| network | `10.0.0.0/8`, `::/0`, or an address alone |

In texts, when the file is loaded:

| written | becomes |
| --- | --- |
| `${NAME}` | the environment variable; an error where there is none |
| `${NAME:-text}` | the variable, or the text where it is missing or empty |
| `${file:/run/secrets/x}` | what the file holds, without the last line break; a change of the file reloads |
| `$${` | a plain `${` |

They are put in after the file was parsed: a value can never change the structure. `${lower.case}` is for run time,
where the table below says so.

What several places share can be written once: `&name` marks a value, `*name` repeats it, `<<: *name` puts the keys of a
map into another map.

## From outside

Single values can be replaced without touching the file, by the command line or by the environment; the command line
wins:

```
tidegate run -c tidegate.yaml --set gateway.threads=2 --set 'services.app.nodes[1]=10.0.0.7:80'
TIDEGATE_GATEWAY__THREADS=2 TIDEGATE_LISTEN='[":9090"]' tidegate run -c tidegate.yaml
```

`__` in a variable's name is the dot of a path. A value that starts with `[` or `{` is YAML.

## Which route wins

Among the routes whose host, path, method and listener all fit, the first difference decides: higher `priority`; exact
host, then the longest `*.` host, then no host; exact path, then the longest prefix, then no path; more further
conditions (`methods`, `on`); the order in the file. No route: 404. Only the method is wrong: 405 with `Allow`.
]]

local TAIL = [[

## Fields of `log.access[].template`

| field | is |
| --- | --- |
| `${time}` `${time_common}` | when the request ended: ISO 8601, or as in the common log format |
| `${client_ip}` | who asked, trusted proxies seen through |
| `${method}` `${target}` `${path}` `${version}` `${host}` | of the request; the path in normal form |
| `${status}` | of the response |
| `${bytes_in}` `${bytes_out}` | received from and sent to the client |
| `${total}` `${connect}` `${first_byte}` | milliseconds: in all, for connecting, until the upstream's first byte |
| `${route}` `${service}` `${upstream}` `${retries}` | who answered, and after how many further tries |
| `${tls}` | TLS version towards the client |
| `${request_id}` `${referer}` `${user_agent}` | headers of the request |
| `${failure}` | what went wrong, if anything did |
]]

local NAMES = {
  path_pattern = "path pattern", host_pattern = "host pattern", cidr = "network", integer = "number",
  string = "text", name = "text", header_name = "header name", status = "status code", object = "map",
}

local function type_words(field)
  local name = NAMES[field.type] or field.type
  if field.type == "enum" then return "`" .. table.concat(field.of, "` `") .. "`" end
  if field.type == "list" or field.type == "map" then
    local of = type(field.of) == "string" and { type = field.of } or field.of
    local words = ("%s of %s"):format(name, type_words(of))
    return field.single and type_words(of) .. ", or " .. words or words
  end
  for word in pairs(field.words or {}) do name = name .. (" or `%s`"):format(word) end
  return name
end

local TOO_LARGE_TO_TELL = 4294967295

local function range_words(field)
  if field.type == "list" or field.type == "string" then return "" end
  local words = {}
  if field.min and field.min ~= "1ms" and field.min ~= field.max then words[1] = "at least " .. field.min end
  if field.max and field.max ~= "49d" and field.max ~= TOO_LARGE_TO_TELL and field.min ~= field.max then
    words[#words + 1] = "at most " .. field.max
  end
  return #words > 0 and ", " .. table.concat(words, ", ") or ""
end

local function default_words(field)
  local default = field.default
  if field.required then return "**required**" end
  if default == nil then return "-" end
  if type(default) ~= "table" then return default == "" and "empty" or ("`%s`"):format(tostring(default)) end
  if #default > 0 then return "`[" .. table.concat(default, ", ") .. "]`" end
  return field.type == "list" and "`[]`" or field.type == "map" and "`{}`" or "as below"
end

--- The object below a field and the path to it, where there is one to describe.
local function below(field, path)
  if field.type == "object" then return field, path end
  if (field.type == "list" or field.type == "map") and type(field.of) == "table" then
    return below(field.of, path .. (field.type == "list" and "[]" or ".NAME"))
  end
  return nil
end

local function cell(text)
  return (text:gsub("|", "\\|"))
end

local describe

local function rows(fields, path, out, deeper)
  out[#out + 1] = "| key | type | default | |\n| --- | --- | --- | --- |\n"
  local later = {}
  for _, name in ipairs(schema.names(fields)) do
    local field = fields[name]
    if field.later == true then
      later[#later + 1] = "`" .. name .. "`"
    else
      out[#out + 1] = ("| `%s` | %s | %s | %s |\n"):format(name, cell(type_words(field) .. range_words(field)),
                                                            default_words(field), cell(field.doc or ""))
      local object, at = below(field, path == "" and name or path .. "." .. name)
      if object then deeper[#deeper + 1] = { object, at, field } end
    end
  end
  if #later > 0 then
    out[#out + 1] = ("\nKnown, but not available in this version: %s.\n"):format(table.concat(later, ", "))
  end
end

local function ties(fields, out)
  local one_of = {}
  for _, name in ipairs(fields.one_of or {}) do
    if fields[name].later ~= true then one_of[#one_of + 1] = "`" .. name .. "`" end
  end
  if #one_of > 0 then out[#out + 1] = ("\nExactly one of %s.\n"):format(table.concat(one_of, ", ")) end
end

describe = function(object, path, out)
  local deeper = {}
  rows(object.fields, path, out, deeper)
  ties(object.fields, out)
  for _, next_one in ipairs(deeper) do
    local below_object, at, field = next_one[1], next_one[2], next_one[3]
    out[#out + 1] = ("\n### `%s`\n\n"):format(at)
    if field.doc then out[#out + 1] = field.doc:sub(1, 1):upper() .. field.doc:sub(2) .. ".\n\n" end
    describe(below_object, at, out)
  end
end

--- All of docs/configuration.md.
function doc.text()
  local out = { HEAD, "\n## All keys\n\n" }
  describe(tree, "", out)
  out[#out + 1] = TAIL
  return table.concat(out)
end

return doc
