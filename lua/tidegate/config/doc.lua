--- The reference of the configuration language, docs/configuration.md, made of the tree.
-- luajit -e 'require "tidegate.ffi" io.write(require("tidegate.config.doc").text())' > docs/configuration.md
local json = require "tidegate.tide.json"
local order = require "tidegate.plugin.order"
local schema = require "tidegate.config.schema"
local ties = require "tidegate.config.ties"
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
| path pattern | `/a`; `/a/{id}`; `/a/*` is `/a` and all below it; `~^/a/\d+$`: see docs/routing.md |
| host pattern | `a.example.com`; `*.example.com`: all names below it; `~^a\d`: see docs/routing.md |
| network | `10.0.0.0/8`, `::/0`, or an address alone |
| plugin | `cors`, `{ cors: { max_age: 1h } }` or `{ use: cors, ... }`: see [Plugins](#plugins) |
| condition | `{ header: x-user, exists: true }`: see [Conditions](#conditions) |

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

Among the routes whose host, path, method, listener and `when` all fit, the first difference decides: higher `priority`;
exact host, then the longest `*.` host, then no host; exact path, then the longest prefix, then no path; more further
conditions (`methods`, `on`, each question of `when`); the order in the file. No route: 404. Only the method is wrong:
405 with `Allow`.
]]

local TAIL = [[

## Plugins

A plugin is the file `NAME.lua` or `NAME/init.lua` in one of `gateway.plugin_dirs`; nothing has to be registered. Where
it is used it is written in one of three forms:

```yaml
plugins:
  - request_id                          # its name alone
  - cors: { allow_origins: ["*"] }      # with its settings
  - use: rate_limit                     # with more about this use
    name: strict_limit
    on_error: continue
    when: { path: { prefix: /api/ } }
    config: { rate: 100/s }
```

Which settings there are, the plugin's own schema says: `tidegate plugin doc NAME`. What is wrong with one is told with
its line, like everything here. `instances` holds uses under names; the name alone then stands in the chain of each
route that wants it, and all of them share one instance.

A request passes two chains: the global one before its route is looked for, the route's own after. In each, plugins run
by band, then by priority (the higher first), then as they are written:

| chain | bands, in order |
| --- | --- |
@BANDS
A plugin whose own band is not in the chain runs where that band would be. `plugin.json` beside `init.lua`, or
`NAME.json` beside `NAME.lua`, may give `name`, `version`, `description`, `enabled`, and `config`: for each setting a
default, or a schema such as `{ "type": "string", "default": "x", "description": "..." }`.

## Conditions

```yaml
when:
  all:
    - { header: x-api-version, in: ["1", "2"] }
    - { client_ip: { cidr: 10.0.0.0/8 } }
    - any: [{ query: debug, exists: true }, { cookie: tester, equals: "yes" }]
    - not: { path: { matches: "^/internal/" } }
```

`all` and `any` take a list, `not` one condition; they nest. Several questions in one condition must all hold.

| of | can be asked | alone it means |
| --- | --- | --- |
| `path`, `host` | `equals` `in` `matches` `prefix` `suffix` `contains` | `equals`; a list: `in` |
| `header`, `query`, `cookie`, each with a name | the same, and `exists` `cidr` `gt` `lt` | `exists: true` |
| `client_ip` | `cidr` `equals` `in` | `cidr` |
| `method`, `scheme` | `equals` `in` | `equals`; a list: `in` |
| `tls` | `exists` | `exists` |
| `sni`, the name that a TLS client asked for | as `host`, and `exists` | `equals`; a list: `in` |

`matches` is a regular expression of PCRE2, `cidr` a network or a list of them, `gt` and `lt` compare numbers: digits,
maybe with a minus before and a fraction behind. `case: false` beside an operator makes letters equal in both cases; for
`host` and `sni` they always are. What a request lacks fits nothing but `exists: false`. Of several header fields of a
name one has to fit; of several arguments or cookies the first counts. A query with a broken percent sign, or with over
100 arguments, has none.

A request for which a pattern takes too long to tell is answered with 500, and the error log says which line that was.

## Fields of `log.access[].template`

| field | is |
| --- | --- |
| `${time}` `${time_common}` | when the request ended: ISO 8601, or as in the common log format |
| `${client_ip}` | who asked, trusted proxies seen through |
| `${method}` `${target}` `${path}` `${version}` `${host}` | of the request; the path in normal form |
| `${status}` | of the response |
| `${bytes_in}` `${bytes_out}` | bytes of the bodies received from and sent to the client |
| `${total}` `${connect}` `${first_byte}` | milliseconds: in all, for connecting, until the upstream's first byte |
| `${route}` `${service}` `${upstream}` `${retries}` | who answered, and after how many further tries |
| `${tls}` | TLS version towards the client |
| `${request_id}` `${referer}` `${user_agent}` | headers of the request |
| `${failure}` | what went wrong, if anything did |
| `${plugin.NAME}` | what a plugin has added under that name with `req:set_log` |
]]

local NAMES = {
  path_pattern = "path pattern", host_pattern = "host pattern", cidr = "network", integer = "whole number",
  string = "text", name = "text", header_name = "header name", cookie_name = "cookie name",
  status = "status code", object = "map", regex = "regular expression", any = "any value",
}

local WITH_UNITS = { duration = true, size = true, percent = true }     -- written with one of their own
local LONG = 60         -- bytes that are not said twice

local function type_words(field)
  if field.form then return "plugin" end
  local name = NAMES[field.type] or field.type
  if field.type == "enum" then return "`" .. table.concat(field.of, "` `") .. "`" end
  if field.type == "list" or field.type == "map" then
    local of = type(field.of) == "string" and { type = field.of } or field.of
    local items = type_words(of)
    local words = ("%s of %s"):format(name, items)
    if not field.single then return words end
    return #items > LONG and words .. ", or one of them" or items .. ", or " .. words
  end
  local words = {}
  for word in pairs(field.words or {}) do words[#words + 1] = (" or `%s`"):format(word) end
  table.sort(words)
  return name .. table.concat(words) .. (field.unit and not WITH_UNITS[name] and " in " .. field.unit or "")
end

--- What a field is for, in words.
function doc.words(field)
  return (field.doc or "") .. (field.restart and "; a change counts after a restart" or "")
end

local TOO_LARGE_TO_TELL = 4294967295
local TEXTS = { string = true, secret = true, template = true }

--- The limits of a field, in words.
function doc.range_words(field)
  if TEXTS[field.type] or field.type == "list" then return "" end
  local words = {}
  if field.min and field.min ~= "1ms" and field.min ~= field.max then words[1] = "at least " .. field.min end
  if field.max and field.max ~= "49d" and field.max ~= TOO_LARGE_TO_TELL and field.min ~= field.max then
    words[#words + 1] = "at most " .. field.max
  end
  if field.type == "map" and #words > 0 then words[#words] = words[#words] .. " entries" end
  return #words > 0 and ", " .. table.concat(words, ", ") or ""
end

local function default_words(field)
  local default = field.default
  if field.required then return "**required**" end
  if default == nil then return "-" end
  if type(default) ~= "table" then return default == "" and "empty" or ("`%s`"):format(tostring(default)) end
  if type(default[1]) == "table" or field.type == "map" and next(default) ~= nil then
    return "`" .. json.encode(default, { sorted = true }) .. "`"
  end
  if #default > 0 then return "`[" .. table.concat(default, ", ") .. "]`" end
  return field.type == "list" and "`[]`" or field.type == "map" and "`{}`" or "as below"
end

--- The bands of each chain, as rows.
local function band_rows()
  local out = {}
  for _, stage in ipairs(order.STAGES) do
    out[#out + 1] = ("| %s | %s |\n"):format(stage, table.concat(order.BANDS[stage], ", "))
  end
  return table.concat(out) .. "\n"
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
      out[#out + 1] = ("| `%s` | %s | %s | %s |\n"):format(name, cell(type_words(field) .. doc.range_words(field)),
                                                            default_words(field), cell(doc.words(field)))
      local object, at = below(field, path == "" and name or path .. "." .. name)
      if object then deeper[#deeper + 1] = { object, at, field } end
    end
  end
  if #later > 0 then
    out[#out + 1] = ("\nKnown, but not available in this version: %s.\n"):format(table.concat(later, ", "))
  end
end

local RULES = { { "one_of", "Exactly one of" }, { "some_of", "At least one of" }, { "conflicts", "At most one of" } }

local function code(names) return "`" .. table.concat(names, "`, `") .. "`" end

--- What a group of keys has in common.
local function group_line(names, words, fields, out)
  local known = {}
  for _, name in ipairs(names) do
    if fields[name].later ~= true then known[#known + 1] = name end
  end
  if #known > 0 then out[#out + 1] = ("\n%s %s.\n"):format(words, code(known)) end
end

local function tied(fields, out)
  for _, rule in ipairs(RULES) do
    for _, names in ipairs(ties.groups(fields, rule[1])) do group_line(names, rule[2], fields, out) end
  end
  local needs = ties.needs(fields)
  for _, name in ipairs(schema.names(fields)) do
    if needs[name] then out[#out + 1] = ("\n`%s` needs %s.\n"):format(name, code(needs[name])) end
  end
end

describe = function(object, path, out)
  local deeper = {}
  rows(object.fields, path, out, deeper)
  tied(object.fields, out)
  for _, next_one in ipairs(deeper) do
    local below_object, at, field = next_one[1], next_one[2], next_one[3]
    out[#out + 1] = ("\n### `%s`\n\n"):format(at)
    if field.doc then out[#out + 1] = field.doc:sub(1, 1):upper() .. field.doc:sub(2) .. ".\n\n" end
    local before = out.described[below_object]
    if before then
      out[#out + 1] = ("The same keys as of `%s`.\n"):format(before)
    else
      if below_object.form then out.described[below_object] = at end
      describe(below_object, at, out)
    end
  end
end

--- The keys of an object and of all below it, as tables.
-- @tparam table object a field of the type object
-- @treturn string
function doc.keys(object)
  local out = { described = {} }
  describe(object, "", out)
  return table.concat(out)
end

--- All of docs/configuration.md.
function doc.text()
  local out = { HEAD, "\n## All keys\n\n", described = {} }
  describe(tree, "", out)
  out[#out + 1] = TAIL:gsub("@BANDS\n", band_rows)
  return table.concat(out)
end

return doc
