/* PROXY headers: no overrun, prefixes agree with the whole, and an address that was understood prints and parses. */
#include "fuzz.h"
#include "net/proxy_protocol.h"

static enum rc parse(const uint8_t *data, size_t size, struct proxy_header *out, size_t *used)
{
    char *copy = malloc(size ? size : 1);       /* no byte more than given may be looked at */
    if (size)
        memcpy(copy, data, size);
    enum rc rc = proxy_header_parse(slice_make(copy, size), out, used);
    free(copy);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, part;
    size_t used = 0, part_used = 0;
    enum rc rc = parse(data, size, &whole, &used);
    assert(rc != RC_OK || (used > 0 && used <= size && used <= PROXY_HEADER_MAX));
    for (size_t len = 0; len < size && len < 300; len++) {
        enum rc early = parse(data, len, &part, &part_used);
        assert(early == RC_AGAIN || early == rc);
        assert(early != RC_OK || part_used == used);
    }
    if (rc == RC_OK && whole.has_peer) {
        char text[ADDR_TEXT];
        struct peer again;
        size_t len = peer_print_ip(&whole.peer, text);
        assert(peer_parse(slice_make(text, len), &again) && again.family == whole.peer.family);
        assert(memcmp(again.ip, whole.peer.ip, sizeof again.ip) == 0);
    }
    return 0;
}
