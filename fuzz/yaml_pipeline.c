/* Any bytes as a configuration: the whole pipeline gives a generation or a report, the same each time, and no error of
 * its own. */
#include <lauxlib.h>
#include <netdb.h>
#include <stdio.h>

#include "fuzz.h"
#include "lua/vm.h"

/* Names resolve to nothing, and nobody is asked. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    (void)host, (void)service, (void)hints, (void)found;
    return EAI_NONAME;
}

/* What is known to Lua's memory only, where LeakSanitizer does not look: the buffer of cjson, contexts of OpenSSL. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:cjson.so\nleak:CRYPTO_zalloc"; }

static lua_State *open_pipeline(void)
{
    setenv("TIDEGATE_LUA", "lua", 1);
    lua_State *L = vm_new();
    if (luaL_loadfile(L, "fuzz/yaml_pipeline.lua") || lua_pcall(L, 0, 1, 0)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    if (!L)
        L = open_pipeline();
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 0, 0)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        abort();
    }
    return 0;
}
