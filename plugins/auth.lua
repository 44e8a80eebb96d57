--- Who may call, in one plugin: names and passwords, or signed tokens. The settings are the usual few; basic_auth and
-- jwt_auth have all of them.
local kinds = { basic = require "basic_auth", jwt = require "jwt_auth" }

local Auth = {
  version     = "1.0.0",
  description = "Asks for a password or a token; an alias of basic_auth and jwt_auth.",
  band        = "auth",
  schema      = {
    type = { type = "enum", of = { "basic", "jwt" }, doc = "default: basic where there are `users`, else jwt" },
    users = {
      type = "list", min = 1, doc = "basic: who may call",
      of = {
        type = "object",
        fields = {
          username = { type = "string", required = true, min = 1, doc = "name" },
          password = { type = "secret", required = true, min = 1, doc = "password in the clear" },
        },
      },
    },
    jwt_secret = { type = "secret", min = 1, doc = "jwt: secret that tokens are signed with" },
    algorithm = {
      type = "enum", of = { "HS256", "HS384", "HS512" }, default = "HS256", doc = "jwt: algorithm of tokens",
    },
    token_header = {
      type = "header_name", default = "authorization",
      doc = "jwt: field that carries the token; in any but authorization it stands alone",
    },
    require_auth = {
      type = "boolean", default = true,
      doc = "false: who sends nothing is let through as nobody; what is wrong is refused",
    },
    one_of = { "users", "jwt_secret" },
  },
}
Auth.__index = Auth

local function settings(kind, conf)
  if kind == "basic" then
    return { users = conf.users, realm = "Restricted", required = conf.require_auth, hide_credentials = false }
  end
  return {
    secret = conf.jwt_secret, algorithms = { conf.algorithm }, header = conf.token_header,
    scheme = conf.token_header == "authorization" and "Bearer" or "", required_claims = { "exp" }, leeway = 0,
    required = conf.require_auth, realm = "Restricted", consumer_claim = "sub", claims_to_headers = {},
    hide_credentials = false,
  }
end

function Auth.new(conf)
  local kind = conf.type or (conf.users and "basic" or "jwt")
  if kind == "basic" and not conf.users then return nil, "type: basic needs users" end
  if kind == "jwt" and not conf.jwt_secret then return nil, "type: jwt needs jwt_secret" end
  local inner, why = kinds[kind].new(settings(kind, conf))
  if not inner then return nil, why end
  return setmetatable({ inner = inner }, Auth)
end

function Auth:request(req) return self.inner:request(req) end

return Auth
