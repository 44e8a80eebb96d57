--- A route's condition as a program for C: questions in a row, each of which says which comes next after yes and after
-- no. Only what can still change the outcome is asked. src/proxy/condition.c runs it.
local C = require "tidegate.ffi"
local cidr = require "tidegate.tide.cidr"

local HOLDS, FAILS = C.QUESTION_HOLDS, C.QUESTION_FAILS

local SUBJECTS = {
  header = C.SUBJECT_HEADER, query = C.SUBJECT_QUERY, cookie = C.SUBJECT_COOKIE, client_ip = C.SUBJECT_CLIENT_IP,
  path = C.SUBJECT_PATH, host = C.SUBJECT_HOST, method = C.SUBJECT_METHOD, scheme = C.SUBJECT_SCHEME,
  tls = C.SUBJECT_TLS, sni = C.SUBJECT_SNI,
}
local TESTS = {
  exists = C.TEST_EXISTS, equals = C.TEST_IN, ["in"] = C.TEST_IN, matches = C.TEST_MATCHES, prefix = C.TEST_PREFIX,
  suffix = C.TEST_SUFFIX, contains = C.TEST_CONTAINS, cidr = C.TEST_CIDR, gt = C.TEST_GT, lt = C.TEST_LT,
}

local questions = {}

local function count_of(condition)
  if condition["not"] then return count_of(condition["not"]) end
  local group = condition.all or condition.any
  if not group then return 1 end
  local n = 0
  for _, member in ipairs(group) do n = n + count_of(member) end
  return n
end

--- Adds the questions of a condition to a list.
-- @tparam table condition as tidegate.plugin.when reads it
-- @tparam table list
-- @tparam number yes which question comes next when it holds, counted from 0
-- @tparam number no ... and when it does not
-- @tparam boolean negated a "not" stands before it: it is what does not hold that helps
local function lay(condition, list, yes, no, negated)
  if condition["not"] then return lay(condition["not"], list, no, yes, not negated) end
  local group = condition.all or condition.any
  if not group then
    list[#list + 1] = { condition = condition, yes = yes, no = no, negated = negated }
    return nil
  end
  for i, member in ipairs(group) do
    local is_last, behind = i == #group, #list + count_of(member)
    if condition.all then
      lay(member, list, is_last and yes or behind, no, negated)
    else
      lay(member, list, yes, is_last and no or behind, negated)
    end
  end
end

--- @tparam table condition as the schema type "condition" gives it
-- @treturn {table,...} condition (of one question), yes and no (the next one from 0, or C.QUESTION_HOLDS or
-- C.QUESTION_FAILS), negated
function questions.of(condition)
  local list = {}
  lay(condition, list, HOLDS, FAILS, false)
  return list
end

--- What C needs to know of one question.
-- @tparam table condition of one question
-- @treturn table subject, test, bound, wanted, words (a list of texts)
function questions.settings(condition)
  local op, value = condition.op, condition.value
  local settings = { subject = SUBJECTS[condition.subject], test = TESTS[op], words = {}, bound = 0, wanted = false }
  if op == "exists" then
    settings.wanted = value
  elseif op == "gt" or op == "lt" then
    settings.bound = value
  elseif op == "cidr" then
    for i, network in ipairs(value) do settings.words[i] = assert(cidr.parse(network)).text end
  else
    settings.words = type(value) == "table" and value or { value }
  end
  return settings
end

return questions
