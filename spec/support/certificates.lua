--- Certificates for a spec, made with openssl: a small authority, and what it signs.
local files = require "support.files"

local certificates = {}

local function run(command, ...)
  command = command:format(...)
  local code = os.execute(command .. " >/dev/null 2>&1")
  assert(code == 0 or code == true, "failed: " .. command)
end

--- An authority in a folder of its own: ca.pem and ca.key.
function certificates.authority(name)
  local folder = files.folder()
  run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=%s' " ..
      "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign " ..
      "-keyout '%s/ca.key' -out '%s/ca.pem'", name or "spec authority", folder, folder)
  return { folder = folder, ca = folder .. "/ca.pem", key = folder .. "/ca.key", serial = 1 }
end

--- Signs a certificate.
-- @tparam table authority
-- @tparam string name of the files, NAME.pem and NAME.key
-- @tparam string alternatives a subjectAltName such as "DNS:a.test,DNS:*.b.test"
-- @treturn table cert and key: file names
function certificates.sign(authority, name, alternatives)
  local base = authority.folder .. "/" .. name
  authority.serial = authority.serial + 1
  run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=%s' " ..
      "-keyout '%s.key' -out '%s.csr'", name, base, base)
  files.write(base .. ".ext", "subjectAltName=" .. alternatives .. "\n")
  run("openssl x509 -req -in '%s.csr' -CA '%s' -CAkey '%s' -set_serial %d -days 2 -extfile '%s.ext' -out '%s.pem'",
      base, authority.ca, authority.key, authority.serial, base, base)
  return { cert = base .. ".pem", key = base .. ".key" }
end

--- A DER OCSP response that calls a certificate good.
function certificates.ocsp(authority, certificate)
  local base = certificate.cert:gsub("%.pem$", "")
  files.write(authority.folder .. "/index.txt", "")
  local file = assert(io.popen(("openssl x509 -in '%s' -noout -serial"):format(certificate.cert)))
  local serial = file:read("*a"):match("serial=(%x+)")
  file:close()
  files.write(authority.folder .. "/index.txt", ("V\t400101000000Z\t\t%s\tunknown\t/CN=x\n"):format(serial))
  run("openssl ocsp -issuer '%s' -cert '%s' -reqout '%s.req'", authority.ca, certificate.cert, base)
  run("openssl ocsp -index '%s/index.txt' -rsigner '%s' -rkey '%s' -CA '%s' -reqin '%s.req' -respout '%s.der' -ndays 1",
      authority.folder, authority.ca, authority.key, authority.ca, base, base)
  return base .. ".der"
end

return certificates
