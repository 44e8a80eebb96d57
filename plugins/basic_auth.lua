--- Asks for a name and a password: RFC 7617. Passwords are in the configuration, in the clear (then taken from the
-- environment or a file) or as hashes of tide.crypto.hash_password.
--
-- The time that a refusal takes does not tell whether there is such a name. Checking a hash costs the loop
-- milliseconds: what was right is remembered, what was wrong is not, so set a rate_limit before this where strangers
-- come.
local BasicAuth = {
  version     = "1.0.0",
  description = "Asks for a name and a password (HTTP Basic).",
  band        = "auth",
}
BasicAuth.__index = BasicAuth

local function check_realm(text)
  if text:find "[%c\128-\255]" then return false, "expected a realm of printable ASCII" end
  return true
end

local function check_username(text)
  if text:find "[:%c]" then return false, "expected a name without colons and control characters" end
  return true
end

local function check_hash(text)
  local known, why = tide.crypto.verify_password(text, "")
  return known ~= nil, why
end

BasicAuth.schema = {
  users = {
    type = "list", required = true, min = 1, doc = "who may call",
    of = {
      type = "object",
      fields = {
        username = { type = "string", required = true, min = 1, check = check_username, doc = "name" },
        password = { type = "secret", min = 1, doc = "password in the clear" },
        password_hash = {
          type = "secret", check = check_hash,
          doc = "hash of the password: $pbkdf2-sha256$..., {SSHA256}..., {SSHA512}... and such",
        },
        one_of = { "password", "password_hash" },
      },
    },
  },
  realm = { type = "string", default = "Restricted", check = check_realm, doc = "what the browser shows when it asks" },
  required = {
    type = "boolean", default = true,
    doc = "false: who sends no password is let through as nobody; a wrong one is refused",
  },
  consumer_header = {
    type = "header_name", doc = "field that tells the upstream the name; what the client sends in it is taken away",
  },
  hide_credentials = { type = "boolean", default = false, doc = "the upstream does not get the password" },
}

--- What can be compared with a given password: its digest under a key that nobody knows.
local function digest(self, password) return tide.crypto.hmac("sha256", self.key, password) end

--- A hash that takes as long as another one and that no password has; nil where that one takes no time.
local function decoy_of(hash)
  if hash:sub(1, 1) ~= "$" then return nil end
  return (hash:gsub("[^$]+$", function(text)
    return tide.base64.encode_url(tide.crypto.random(math.floor(#text * 3 / 4)))
  end))
end

function BasicAuth.new(conf)
  local self = {
    key = tide.crypto.random(32), users = {}, required = conf.required, hides = conf.hide_credentials,
    consumer_header = conf.consumer_header,
    challenge = ('Basic realm="%s"'):format((conf.realm:gsub('[\\"]', "\\%0"))),
  }
  for i, user in ipairs(conf.users) do
    if self.users[user.username] then return nil, ("users[%d]: the name %q is there twice"):format(i, user.username) end
    self.users[user.username] = {
      hash = user.password_hash, digest = user.password and digest(self, user.password),
    }
    self.decoy = self.decoy or user.password_hash and decoy_of(user.password_hash)
  end
  self.nobody = { digest = digest(self, tide.crypto.random(32)) }
  return setmetatable(self, BasicAuth)
end

--- Name and password of a request.
-- @treturn ?string nil where there are none
-- @treturn ?string
-- @treturn boolean whether there was something like credentials
local function credentials(req)
  local fields = req:header_all "authorization"
  if #fields == 0 then return nil, nil, false end
  local coded = #fields == 1 and fields[1]:match "^[Bb][Aa][Ss][Ii][Cc] +([^ ]+)$"
  local text = coded and tide.base64.decode(coded)
  local name, password = (text or ""):match "^([^:]*):(.*)$"
  return name, password, true
end

--- Whether a password is a user's. A hash is checked until it was right once: then the password's digest is known.
local function is_right(self, user, password)
  local given = digest(self, password)
  if user.digest and tide.crypto.equal(user.digest, given) then return true end
  local hash = user.hash or self.decoy
  local is_match = hash ~= nil and tide.crypto.verify_password(hash, password) == true
  if not is_match or not user.hash then return false end
  user.digest = given
  return true
end

function BasicAuth:refuse(req)
  return req:reply(401, "Unauthorized\n", { ["www-authenticate"] = self.challenge })
end

function BasicAuth:request(req)
  if self.consumer_header then req:remove_header(self.consumer_header) end
  local name, password, is_tried = credentials(req)
  if not is_tried and not self.required then return end
  if not name then return self:refuse(req) end
  local user = self.users[name] or self.nobody
  if not is_right(self, user, password) then return self:refuse(req) end
  req.consumer = { name = name }
  if self.consumer_header then req:set_header(self.consumer_header, name) end
  if self.hides then req:remove_header "authorization" end
end

return BasicAuth
