local statuses = require "tidegate.config.statuses"

describe("statuses in a word", function()
  local cases = {
    { "200", 200, 200 }, { "200-299", 200, 299 }, { "2xx", 200, 299 }, { "5xx", 500, 599 }, { "599", 599, 599 },
    { "404", 404, 404, least = 400 }, { "4xx", 400, 499, least = 400 }, { "399", nil, least = 400 },
    { "3xx", nil, least = 400 }, { "399-500", nil, least = 400 },
    { "", nil }, { "99", nil }, { "600", nil }, { "6xx", nil }, { "0xx", nil }, { "200-", nil }, { "-299", nil },
    { "200299", nil }, { "200-29", nil }, { "200-2999", nil }, { "299-200", nil }, { "500-600", nil }, { "2XX", nil },
    { "2xx-3xx", nil }, { " 200", nil },
  }
  for _, case in ipairs(cases) do
    local word, first, last = case[1], case[2], case[3]
    it(("are told of %q%s"):format(word, case.least and " from " .. case.least or ""), function()
      assert.same({ first, last }, { statuses.range(word, case.least) })
    end)
  end
end)
