-- luarocks make --local         builds with the Makefile and installs; needs Debian's packages: sh .ci/packages build
rockspec_format = "3.0"
package = "tidegate"
version = "dev-1"

source = { url = "git+file://." }

description = {
  summary = "An API gateway: C moves the bytes, Lua decides.",
  license = "MIT",
}

-- argparse and cjson are taken from the system, where the gateway's own LuaJIT finds them.
dependencies = { "lua >= 5.1, < 5.2" }

external_dependencies = {
  OPENSSL = { header = "openssl/ssl.h" },
  YAML = { header = "yaml.h" },
  PCRE2 = { header = "pcre2.h" },
  CARES = { header = "ares.h" },
  LUAJIT = { header = "luajit-2.1/luajit.h" },
}

build = {
  type = "make",
  build_target = "build",
  install_target = "install",
  install_variables = { PREFIX = "$(PREFIX)" },
}
