--- An upstream that switches protocols on every connection and then holds it: prints its port, and ends with its input.
-- Run by config_reloads.lua as a process of its own: luajit bench/tunnels.lua
local poll = require "posix.poll"
local socket = require "posix.sys.socket"

local SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bench\r\n\r\n"
local STDIN, BACKLOG = 0, 1024

local listening = assert(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0))
assert(socket.bind(listening, { family = socket.AF_INET, addr = "127.0.0.1", port = 0 }))
assert(socket.listen(listening, BACKLOG))
print(socket.getsockname(listening).port)
io.stdout:flush()

local watched = { [listening] = { events = { IN = true } }, [STDIN] = { events = { IN = true } } }
while true do
  poll.poll(watched, -1)
  if next(watched[STDIN].revents or {}) and (watched[STDIN].revents.HUP or watched[STDIN].revents.IN) then return end
  if watched[listening].revents and watched[listening].revents.IN then
    local fd = assert(socket.accept(listening))
    assert(socket.recv(fd, 65536))
    assert(socket.send(fd, SWITCH))
  end
end
