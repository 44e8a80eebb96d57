--- Hexadecimal digits, both ways, as tables of bytes that loops over pointers can use.
local ffi = require "ffi"

local hex = { NONE = 255 }

--- The digit (a byte, in lower case) of a value of 0 to 15.
hex.digits = ffi.new("uint8_t[16]", ("0123456789abcdef"):byte(1, -1))

--- The value of a digit of either case; NONE for other bytes.
hex.values = ffi.new "uint8_t[256]"
ffi.fill(hex.values, 256, hex.NONE)
for value = 0, 15 do
  hex.values[("%x"):format(value):byte()] = value
  hex.values[("%X"):format(value):byte()] = value
end

return hex
