/* Names with the addresses that a spec wants: to be preloaded into a gateway, whose plugins ask getaddrinfo.
 * SPEC_ADDRESSES is " NAME=ADDRESS,ADDRESS NAME=..."; other names are asked for as ever. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

typedef int find_fn(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **out);

static const char *addresses_of(const char *name)
{
    const char *all = getenv("SPEC_ADDRESSES");
    size_t len = strlen(name);
    for (const char *at = all ? strstr(all, name) : NULL; at; at = strstr(at + 1, name))
        if (at > all && at[-1] == ' ' && at[len] == '=')
            return at + len + 1;
    return NULL;
}

int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    find_fn *find = (find_fn *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *at = name ? addresses_of(name) : NULL;
    if (!at)
        return find(name, port, hints, out);
    for (size_t len; (len = strcspn(at, ", ")) > 0; at += len + (at[len] == ',')) {
        char text[64] = "";
        memcpy(text, at, len < sizeof text - 1 ? len : sizeof text - 1);
        int rc = find(text, port, hints, out);
        if (rc != 0)
            return rc;
        while (*out)
            out = &(*out)->ai_next;
    }
    return 0;
}
