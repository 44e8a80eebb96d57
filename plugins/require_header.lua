--- Lets only requests through that carry a header field, and the right value of it where one is asked for.
local RequireHeader = {
  version     = "1.0.0",
  description = "Refuses requests without a header field.",
  band        = "security",
  schema      = {
    header = {
      type = "string", required = true, match = "^[%w!#$%%&'*+.^_`|~-]+$", expects = "a header name",
      doc = "field that must be there; the message shows it as it is written here",
    },
    values = { type = "list", of = "string", single = true, min = 1, doc = "values let through; default: any" },
    matches = { type = "regex", doc = "regular expression that the value has to match" },
    status = { type = "status", default = 401, min = 400, doc = "status of the refusal" },
    message = { type = "string", doc = "its body; default: what is missing or wrong" },
    conflicts = { "values", "matches" },
  },
}
RequireHeader.__index = RequireHeader

function RequireHeader.new(conf)
  local self = { header = conf.header, status = conf.status, message = conf.message }
  self.matches = conf.matches and assert(tide.re.compile(conf.matches))
  if conf.values then
    self.values = {}
    for _, value in ipairs(conf.values) do self.values[value] = true end
  end
  return setmetatable(self, RequireHeader)
end

function RequireHeader:is_good(value)
  if self.values then return self.values[value] == true end
  if not self.matches then return true end
  local found, why = self.matches:test(value)
  if found == nil then error(("%s: %s"):format(self.header, why)) end
  return found
end

function RequireHeader:refuse(req, message)
  return req:reply(self.status, (self.message or message) .. "\n")
end

function RequireHeader:request(req)
  local values = req:header_all(self.header)
  if #values == 0 then return self:refuse(req, "Missing required header: " .. self.header) end
  for _, value in ipairs(values) do
    if not self:is_good(value) then return self:refuse(req, "Wrong value of header: " .. self.header) end
  end
end

return RequireHeader
