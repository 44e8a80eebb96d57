--- Many threads at one dictionary, under the thread sanitizer: the program is dict_threads.c, built here with src/base.
local files = require "support.files"
local shell = require "support.shell"

local COMPILE = "gcc -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=thread -pthread -Isrc -o %s/threads " ..
                "spec/unit/base/dict_threads.c src/base/dict*.c src/base/lock.c src/base/slice.c src/base/folder.c -lm"

describe("a dictionary that many threads use", function()
  it("loses nothing, mixes nothing up, and has no data race", function()
    local folder = files.folder()
    shell.must(COMPILE:format(folder))
    assert.equal("good\n", shell.must(("%s/threads 4 3000 %s/snapshot"):format(folder, folder)))
  end)
end)
