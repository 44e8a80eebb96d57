local core = require "support.core"
local ffi = require "ffi"
local C = core.C

describe("a gate", function()
  local gate, loop, home, out, tasks

  before_each(function()
    loop, home, out, tasks = C.loop_new(nil), ffi.new "struct freelist", ffi.new "struct ticket *[1]", {}
    gate = ffi.new "struct gate"
    C.freelist_init(home, ffi.sizeof "struct ticket", 8)
    C.gate_init(gate)
  end)

  after_each(function()
    loop.ready.next, loop.ready.prev = loop.ready, loop.ready       -- the tasks do nothing
    C.freelist_free(home)
    C.loop_free(loop)
  end)

  local function set(limit, queue) C.gate_set(gate, limit, queue, loop) end

  --- "OK", "FULL", or "AGAIN" and the ticket.
  local function enter()
    local task = ffi.new "struct task"
    tasks[#tasks + 1] = task
    local rc = core.rc(C.gate_enter(gate, loop, home, task, out))
    return rc, rc == "AGAIN" and out[0] or nil
  end

  local function is_called(ticket) return ticket.is_here end
  local function leave() C.gate_leave(gate, loop) end

  --- So many who wait.
  local function waiting(n)
    local list = {}
    for i = 1, n do
      local rc, ticket = enter()
      assert.equal("AGAIN", rc)
      list[i] = ticket
    end
    return list
  end

  local function called(list)
    local signs = {}
    for i, ticket in ipairs(list) do signs[i] = is_called(ticket) and "+" or "-" end
    return table.concat(signs)
  end

  local rows = {
    { "lets in what fits, and lets others wait", 2, 1, { "OK", "OK", "AGAIN", "FULL", "FULL" } },
    { "lets nobody wait without a queue", 1, 0, { "OK", "FULL" } },
    { "lets all in without a limit", 0, 0, { "OK", "OK", "OK", "OK" } },
  }
  for _, row in ipairs(rows) do
    it(row[1], function()
      set(row[2], row[3])
      for i, expected in ipairs(row[4]) do assert.equal(expected, (enter()), i) end
    end)
  end

  it("gives a place that is left to the one that has waited longest", function()
    set(1, 3)
    enter()
    local list = waiting(3)
    for _, expected in ipairs { "+--", "++-", "+++" } do
      leave()
      assert.equal(expected, called(list))
    end
    assert.equal(1, gate.used)
    assert.equal(0, gate.waits)
  end)

  it("lets nobody in past those who wait", function()
    set(2, 3)
    enter()
    enter()
    local list = waiting(1)
    leave()
    assert.equal("+", called(list))
    assert.equal("AGAIN", (enter()))
  end)

  it("calls the next where one gives up", function()
    set(1, 5)
    enter()
    local list = waiting(3)
    C.ticket_drop(list[1])
    assert.equal(2, gate.waits)
    leave()
    assert.equal("+-", called { list[2], list[3] })
    C.ticket_drop(list[2])                      -- it was called already: its place is passed on
    assert.is_true(is_called(list[3]))
    C.ticket_use(list[3])
    leave()
    assert.same({ 0, 0 }, { gate.used, gate.waits })
  end)

  it("calls as many as fit when the limit grows, and all when it goes", function()
    set(1, 5)
    enter()
    local list = waiting(4)
    set(3, 5)
    assert.equal("++--", called(list))
    set(0, 5)
    assert.equal("++++", called(list))
    assert.equal(5, gate.used)
  end)

  it("calls nobody until it is below a limit that has shrunk", function()
    set(3, 5)
    for _ = 1, 3 do enter() end
    local list = waiting(2)
    set(1, 5)
    leave()
    leave()
    assert.equal("--", called(list))
    leave()
    assert.equal("+-", called(list))
    assert.equal(1, gate.used)
  end)

  it("lets those wait on who wait when the queue shrinks", function()
    set(1, 3)
    enter()
    local list = waiting(3)
    set(1, 1)
    assert.equal("FULL", (enter()))
    leave()
    assert.equal("+--", called(list))
    assert.same({ 3, 1 }, { tonumber(gate.waited), tonumber(gate.refused) })
  end)
end)
