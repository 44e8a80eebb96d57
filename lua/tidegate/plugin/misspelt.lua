--- Words of a plugin's table that were probably meant to be others: misspelt ones, and hooks as other gateways call
-- them.
local misspelt = {}

local LETTERS_MIN = 7       -- of a word that others can be mistaken for: "clone" is not a misspelt "close"

--- What differs in two words, between what they begin and what they end with.
local function difference(a, b)
  local first = 1
  while first <= #a and a:byte(first) == b:byte(first) do first = first + 1 end
  local from_a, from_b = #a, #b
  while from_a >= first and from_b >= first and a:byte(from_a) == b:byte(from_b) do
    from_a, from_b = from_a - 1, from_b - 1
  end
  return a:sub(first, from_a), b:sub(first, from_b)
end

--- Whether two words differ by one letter: put in, left out, another, or swapped with its neighbour.
local function is_one_edit(a, b)
  local left_a, left_b = difference(a, b)
  return #left_a <= 1 and #left_b <= 1 or #left_a == 2 and left_a == left_b:reverse()
end

--- The word of a list that another was surely meant to be: "reqest", "onRequest", "request_Body".
-- @treturn ?string
function misspelt.meant(name, words)
  if name:sub(1, 1) == "_" then return nil end
  local plain = name:lower():gsub("^on_?", ""):gsub("_", "")
  for _, word in ipairs(words) do
    local bare = word:gsub("_", "")
    if plain == bare or #word >= LETTERS_MIN and is_one_edit(plain, bare) then return word end
  end
  return nil
end

--- The short word of a list that another may be a slip of: a letter too many or too few, or two of them swapped.
-- Another letter in place of one makes too many words of their own.
-- @treturn ?string
function misspelt.slip(name, words)
  for _, word in ipairs(words) do
    local is_swap = #name == #word and #difference(name, word) == 2
    if #word < LETTERS_MIN and (is_swap or #name ~= #word) and is_one_edit(name, word) then return word end
  end
  return nil
end

-- The phases of other gateways, and what does their work here.
local PHASES = {
  access = "request", rewrite = "request", preread = "request", on_http_request = "request",
  before_proxy = "upstream", balancer = "upstream", header_filter = "response", body_filter = "response_body",
  delayed_body_filter = "response_body", on_http_response = "response", ws_client_frame = "message",
  ws_upstream_frame = "message", init = "new", init_worker = "new", configure = "new", destroy = "close",
}

--- Whether a source uses a field besides defining it.
local function is_used(source, name)
  local rest = source:gsub("function%s+[%w_]+[.:]" .. name .. "%f[^%w_]", "")
  return rest:find("[.:]%s*" .. name .. "%f[^%w_]") ~= nil
end

--- The hook that a function of a plugin was probably meant to be. One that the plugin's own code calls is its own.
-- @tparam string name of the function
-- @tparam {string,...} hooks
-- @tparam string source of the plugin
-- @treturn ?string
function misspelt.hook(name, hooks, source)
  local wanted = PHASES[(name:gsub("_by_lua.*$", ""))] or misspelt.slip(name, hooks)
  return wanted and not is_used(source, name) and wanted or nil
end

return misspelt
