--- What the rows about saves share: a connection that is asked until the answer has come, and files that change as
-- editors change them.
local socket = require "posix.sys.socket"
local files = require "bench.files"

local saves = {
  LIVE_S = 20,              -- given up, when a save takes longer
  PAUSE_S = 0.001,          -- between two looks whether it is live
  WARM = 200,               -- saves that come first: what the gateway needs only once is not growth
  SAMPLES = 50,             -- of its memory, at both ends: a garbage collector moves in between
}

function saves.connect(port)
  local fd = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
  assert(socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVTIMEO, saves.LIVE_S, 0))
  assert(socket.connect(fd, { family = socket.AF_INET, addr = "127.0.0.1", port = port }))
  return fd
end

--- Sends a request, and reads until a pattern is in what came.
function saves.ask(fd, request, pattern)
  assert(socket.send(fd, request))
  local text = ""
  repeat
    local bytes, why = socket.recv(fd, 65536)
    if not bytes or bytes == "" then error("no response: " .. (why or "the connection was closed"), 0) end
    text = text .. bytes
  until text:find(pattern)
  return text
end

--- As editors do: another file in place of the old one.
function saves.write(path, text)
  files.write(path .. ".new", text)
  assert(os.rename(path .. ".new", path))
end

--- Which of the samples of memory one belongs to, taken after a save; nil where to none.
-- @tparam number number of the save
-- @tparam number count of all saves
function saves.sample_of(number, count, before, after)
  local warm, samples = math.min(saves.WARM, math.floor(count / 2)), math.min(saves.SAMPLES, math.ceil(count / 4))
  return number > count - samples and after or number > warm and #before < samples and before or nil
end

return saves
