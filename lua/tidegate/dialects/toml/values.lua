--- Numbers, truth and times of TOML.
local values = {}

local BASES = { x = { 16, "^[%x_]+$" }, o = { 8, "^[0-7_]+$" }, b = { 2, "^[01_]+$" } }

--- Whether each underscore stands between two digits.
local function has_good_underscores(digits)
  return not digits:find "^_" and not digits:find "_$" and not digits:find "__"
end

local TOO_LARGE = "a whole number has 64 bits at most"

--- Digits as a whole number: its value and its text in decimal; nil where it has more than 64 bits.
local function whole(digits, base, is_negative)
  local total = 0ULL
  local most = is_negative and 0x8000000000000000ULL or 0x7fffffffffffffffULL
  for digit in digits:gmatch "%x" do
    local value = tonumber(digit, 16)
    if total > (most - value) / base then return nil end
    total = total * base + value
  end
  local text = tostring(total):gsub("ULL$", "")
  if is_negative then return -tonumber(total), (total == 0 and "" or "-") .. text end
  return tonumber(total), text
end

local function integer(word)
  local sign, digits = word:match "^([+-]?)(%d[%d_]*)$"
  if digits then
    if digits:find "^0." then return nil, "a number has no zero before it" end
    if not has_good_underscores(digits) then return nil, "underscores stand between digits" end
    local value, text = whole(digits, 10, sign == "-")
    if not value then return nil, TOO_LARGE end
    return "integer", value == 0 and 0 or value, text
  end
  local letter
  letter, digits = word:match "^0([xob])(.+)$"
  local base = letter and BASES[letter]
  if not base then return nil end
  if not digits:find(base[2]) or not has_good_underscores(digits) then
    return nil, "expected digits of base " .. base[1]
  end
  local value, text = whole(digits, base[1], false)
  if not value then return nil, TOO_LARGE end
  return "integer", value, text
end

local SPECIAL = { inf = math.huge, ["+inf"] = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, ["+nan"] = 0 / 0,
                  ["-nan"] = 0 / 0 }

local function float(word)
  if SPECIAL[word] then return "number", SPECIAL[word], word end
  local whole_part, rest = word:match "^[+-]?(%d[%d_]*)(.*)$"
  if not whole_part then return nil end
  local fraction, exponent = rest:match "^%.(%d[%d_]*)(.*)$"
  exponent = exponent or rest
  local power = exponent:match "^[eE][+-]?(%d[%d_]*)$"
  if not fraction and not power or exponent ~= "" and not power then return nil end
  if whole_part:find "^0." then return nil, "a number has no zero before it" end
  for _, digits in ipairs { whole_part, fraction or "0", power or "0" } do
    if not has_good_underscores(digits) then return nil, "underscores stand between digits" end
  end
  local text = word:gsub("_", "")
  return "number", tonumber((text:gsub("^%+", ""))), text
end

local DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(year, month, day)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month < 1 or month > 12 or day < 1 or day > DAYS[month] then return false end
  local is_leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month ~= 2 or day < 29 or is_leap
end

local function is_time(text)
  local hour, minute, second, rest = text:match "^(%d%d):(%d%d):(%d%d)(.*)$"
  if not hour or tonumber(hour) > 23 or tonumber(minute) > 59 or tonumber(second) > 60 then return nil end
  return rest:gsub("^%.%d+", "")
end

local function is_offset(text)
  if text == "" or text == "Z" or text == "z" then return true end
  local hour, minute = text:match "^[+-](%d%d):(%d%d)$"
  return hour ~= nil and tonumber(hour) <= 23 and tonumber(minute) <= 59
end

--- A date, a time, or both (RFC 3339), as a text.
local function moment(word)
  local year, month, day, rest = word:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
  if year then
    if not is_date(year, month, day) then return nil, "there is no such day" end
    if rest == "" then return "string", word, word end
    local time = rest:match "^[Tt ](.*)$"
    local offset = time and is_time(time)
    if not offset or not is_offset(offset) then return nil, "expected a time such as 07:32:00 or 07:32:00Z" end
    return "string", word, word
  end
  if not word:find "^%d%d:%d%d" then return nil end
  if is_time(word) ~= "" then return nil, "expected a time such as 07:32:00" end
  return "string", word, word
end

local TRUTH = { ["true"] = true, ["false"] = false }

--- Reads the value at a place: anything but texts, arrays and tables.
-- @tparam string text
-- @tparam number at
-- @treturn ?string type of a node; nil where there is no value
-- @return its value, or why there is none
-- @treturn string its text
-- @treturn number how many bytes it takes
function values.read(text, at)
  local word = text:match("^[%w_+.:-]+", at)
  if not word then return nil end
  if word:find "^%d%d%d%d%-%d%d%-%d%d$" then word = word .. (text:match("^ %d%d:[%w+.:-]*", at + #word) or "") end
  if TRUTH[word] ~= nil then return "boolean", TRUTH[word], word, #word end
  for _, read in ipairs { integer, float, moment } do
    local kind, value, as_text = read(word)
    if kind then return kind, value, as_text, #word end
    if value then return nil, value end
  end
  return nil
end

return values
