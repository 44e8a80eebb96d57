--- As much of DER (X.690) as keys and signatures need: writing, and reading the two numbers of an ECDSA signature.
local der = {}

local INTEGER, BIT_STRING, OCTETS, SEQUENCE = 0x02, 0x03, 0x04, 0x30

--- Object identifiers, with their tag.
der.oids = {
  rsa = "\6\9\42\134\72\134\247\13\1\1\1\5\0",          -- 1.2.840.113549.1.1.1, and the NULL that comes with it
  ec = "\6\7\42\134\72\206\61\2\1",                     -- 1.2.840.10045.2.1
  ["P-256"] = "\6\8\42\134\72\206\61\3\1\7",            -- 1.2.840.10045.3.1.7
  ["P-384"] = "\6\5\43\129\4\0\34",                     -- 1.3.132.0.34
  ["P-521"] = "\6\5\43\129\4\0\35",                     -- 1.3.132.0.35
  Ed25519 = "\6\3\43\101\112",                          -- 1.3.101.112
  Ed448 = "\6\3\43\101\113",                            -- 1.3.101.113
}

local function element(tag, content)
  local n = #content
  if n < 0x80 then return string.char(tag, n) .. content end
  if n < 0x100 then return string.char(tag, 0x81, n) .. content end
  assert(n < 0x10000, "der: at most 65535 bytes")
  return string.char(tag, 0x82, math.floor(n / 256), n % 256) .. content
end

--- @tparam string content elements after one another
function der.sequence(content) return element(SEQUENCE, content) end

--- @tparam string content bytes
function der.octets(content) return element(OCTETS, content) end

--- @tparam string content whole bytes
function der.bit_string(content) return element(BIT_STRING, "\0" .. content) end

--- @tparam number n of the tag
-- @tparam string content
function der.tagged(n, content) return element(0xA0 + n, content) end

--- @tparam string bytes of a number that is not negative, the most significant first
function der.integer(bytes)
  local digits = bytes:gsub("^%z+", "")
  if digits == "" or digits:byte() >= 0x80 then digits = "\0" .. digits end
  return element(INTEGER, digits)
end

--- The ECDSA signature of JOSE, r and s of the same size (RFC 7518 section 3.4), as OpenSSL takes it.
function der.from_raw_signature(raw)
  local size = #raw / 2
  return der.sequence(der.integer(raw:sub(1, size)) .. der.integer(raw:sub(size + 1)))
end

--- The other way round. The signature is one that OpenSSL has made.
-- @tparam string signature
-- @tparam number size bytes of r, and of s
function der.to_raw_signature(signature, size)
  local at = signature:byte(2) < 0x80 and 3 or 4
  local raw = ""
  for _ = 1, 2 do
    local length = signature:byte(at + 1)
    local digits = signature:sub(at + 2, at + 1 + length):gsub("^%z+", "")
    raw = raw .. ("\0"):rep(size - #digits) .. digits
    at = at + 2 + length
  end
  return raw
end

return der
