--- Keys for a spec, made with openssl, and what openssl says of signatures.
local files = require "support.files"
local shell = require "support.shell"

local keys = {}

local COMMANDS = {
  rsa = "openssl genrsa 2048", other_rsa = "openssl genrsa 2048", small_rsa = "openssl genrsa 1024",
  ["P-256"] = "openssl ecparam -name prime256v1 -genkey", ["P-384"] = "openssl ecparam -name secp384r1 -genkey -noout",
  ["P-521"] = "openssl ecparam -name secp521r1 -genkey -noout", secp256k1 = "openssl ecparam -name secp256k1 -genkey",
  Ed25519 = "openssl genpkey -algorithm ed25519", Ed448 = "openssl genpkey -algorithm ed448",
  X25519 = "openssl genpkey -algorithm x25519", dsa = "openssl dsaparam -genkey 2048",
  pss = "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
  encrypted = "openssl genrsa -aes128 -passout pass:secret 2048",
  encrypted_old = "openssl genrsa -traditional -aes128 -passout pass:secret 2048",
}
local made = {}

--- A private key of a kind in PEM; the same each time it is asked for.
function keys.private(kind)
  made[kind] = made[kind] or shell.must(COMMANDS[kind] .. " 2>/dev/null")
  return made[kind]
end

--- Pipes a text through openssl.
-- @tparam string arguments
-- @tparam string input
function keys.openssl(arguments, input)
  local path = files.folder() .. "/in"
  files.write(path, input)
  return shell.must(("openssl %s < %s 2>/dev/null"):format(arguments, path))
end

function keys.public(kind) return keys.openssl("pkey -pubout", keys.private(kind)) end

--- A self-signed certificate.
function keys.certificate(kind)
  local path = files.folder() .. "/key.pem"
  files.write(path, keys.private(kind))
  return shell.must(("openssl req -x509 -key %s -subj /CN=spec -days 2 2>/dev/null"):format(path))
end

--- The bytes of numbers of an RSA key, by their names in `openssl rsa -text`.
function keys.rsa_numbers(kind)
  local text = keys.openssl("rsa -noout -text", keys.private(kind))
  local numbers = {}
  for name, digits in text:gmatch "(%w+):%s*\n([%x:%s]+)\n%f[%w%z]" do
    numbers[name] = digits:gsub("[^%x]", ""):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
                          :gsub("^%z+", "")
  end
  return numbers
end

--- Signs a text with a private key: openssl dgst.
-- @tparam string kind
-- @tparam string options "-sha256 -sigopt ..."
-- @tparam string data
function keys.sign(kind, options, data)
  local folder = files.folder()
  files.write(folder .. "/key", keys.private(kind))
  files.write(folder .. "/data", data)
  shell.must(("openssl dgst %s -sign key -out signature data"):format(options), { folder = folder })
  return files.read(folder .. "/signature")
end

--- Whether openssl dgst finds a signature good.
function keys.verifies(kind, options, data, signature)
  local folder = files.folder()
  files.write(folder .. "/key", keys.public(kind))
  files.write(folder .. "/data", data)
  files.write(folder .. "/signature", signature)
  local _, code = shell.run(("openssl dgst %s -verify key -signature signature data"):format(options),
    { folder = folder })
  return code == 0
end

return keys
