#include "lua/fake.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>

#include "base/log.h"
#include "lua/chains.h"
#include "net/dial.h"
#include "net/resolver.h"
#include "net/stream_memory.h"
#include "proxy/ask.h"

enum { NAMES_MAX = 65000, KEPT_MAX = 64 << 20, HOST_ADDRESS = 0xc6120000 };     /* 198.18.0.0, RFC 2544 */

/* A connection, as its far end knows it. */
struct far {
    struct wire wire;
    struct link in_dialled;             /* fake.dialled: nobody has looked at it yet */
    double number;
    enum dial_for what;
    struct addr to;
    struct tls_facts tls;               /* texts are its own */
};

struct fake {
    struct plane plane;
    struct vm *vm;
    struct slots fars;
    struct link dialled;
    struct generation **loaded;
    uint32_t loaded_count;
    char **names;                       /* of hosts, by the last bits of their address */
    uint32_t name_count;
    struct buf log, failures;           /* told since Lua looked last */
    enum log_level level_outside;       /* of the process, while the core does not run */
    uint32_t turn;                      /* how often it was opened */
};

static struct fake *fake;

/* -- what the core tells -- */

/* Both are bounded for the case that nobody looks: then what is new is lost. */
static void keep_line(void *who, struct slice line)
{
    (void)who;
    (void)buf_append(&fake->log, line);
}

static void keep_failure(struct vm *vm, const struct coroutine *co, const char *text)
{
    struct label l = { 0 };
    (void)vm;
    (void)labels_get(&hook_labels, co->slot, &l);       /* unknown: nothing to name */
    const struct slice parts[] = { l.words[HOOK_INSTANCE], l.words[HOOK_NAME], slice_text(text) };
    for (int i = 0; i < 3; i++) {
        (void)buf_append(&fake->failures, parts[i]);
        (void)buf_append(&fake->failures, slice_make("", 1));
    }
}

static void on_log_ready(struct plane *p) { (void)p; }

/* There is no control thread: whoever asks gets no answer. */
static void on_ask(struct plane *p, struct ask *a)
{
    (void)p;
    exchange_answered(a);
}

/* -- names and connections -- */

/* RFC 6761 section 6.4: a name in .invalid has no address. All others have one. */
static bool find_host(struct slice name, struct addr *out)
{
    const struct slice none = SLICE(".invalid");
    uint32_t i = 0;
    if (name.len >= none.len && slice_equal_nocase(slice_from(name, name.len - none.len), none))
        return false;
    while (i < fake->name_count && !slice_equal_nocase(slice_text(fake->names[i]), name))
        i++;
    if (i == NAMES_MAX)
        return false;
    if (i == fake->name_count) {
        fake->names = realloc(fake->names, (i + 1) * sizeof *fake->names);
        char *copy = strndup(name.at, name.len);
        if (!fake->names || !copy)
            abort();
        fake->names[fake->name_count++] = copy;
    }
    *out = (struct addr){ .len = sizeof out->u.v4 };
    out->u.v4.sin_family = AF_INET;
    out->u.v4.sin_addr.s_addr = htonl(HOST_ADDRESS + 1 + i);
    return true;
}

static struct far *far_new(void)
{
    struct far *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->number = slots_add(&fake->fars, f);
    return f;
}

static int on_dial(struct loop *loop, struct stream *s, const struct addr *to, enum dial_for what)
{
    (void)loop;
    if (what == DIAL_DATAGRAM)
        return EPROTONOSUPPORT;         /* a datagram needs a socket */
    struct far *f = far_new();
    f->to = *to;
    f->what = what;
    stream_memory_init(s, &f->wire, false);
    list_append(&fake->dialled, &f->in_dialled);
    return EINPROGRESS;
}

static const struct dialer dialer = { on_dial };

/* -- coming and going -- */

/* While the core runs it is what the thread has; in between the spec has the thread to itself. */
static void enter(void)
{
    const struct generation *g = fake->plane.generation;
    vm_enter(fake->vm);
    fake->level_outside = log_lowest_level();
    if (g)
        log_set_level((enum log_level)g->gateway.log_level);
    log_set_sink(keep_line, NULL);
    resolver_replace(find_host);
}

static void leave(void)
{
    vm_enter(NULL);
    log_set_level(fake->level_outside);
    log_set_sink(NULL, NULL);
    resolver_replace(NULL);
}

static void make(void)
{
    fake = calloc(1, sizeof *fake);
    if (!fake)
        abort();
    plane_open(&fake->plane, 0);
    fake->plane.loop->dialer = &dialer;
    fake->plane.hooks = &chains;
    fake->plane.log_ready = on_log_ready;
    fake->plane.ask = on_ask;
    buf_init(&fake->log, KEPT_MAX);
    buf_init(&fake->failures, KEPT_MAX);
    list_init(&fake->dialled);
}

static bool load_own_lua(lua_State *L)
{
    if (fake->vm)
        return vm_restart(fake->vm, L);
    fake->vm = vm_open_in(&fake->plane, &fake->plane.hook_stats, L);
    if (!fake->vm)
        return false;
    fake->vm->on_failure = keep_failure;
    fake->plane.vm = fake->vm;
    return true;
}

static void close_pools(const struct generation *g)
{
    for (uint32_t i = 0; i < g->service_count; i++)
        for (uint32_t k = 0; k < g->services[i]->newest->node_count; k++)
            pool_close(node_pool(g->services[i]->newest->nodes[k], 0));
}

/* The last user of a generation is the fake itself. */
static void unload(uint32_t index)
{
    struct plane *p = &fake->plane;
    struct generation *g = fake->loaded[index];
    fake->loaded[index] = fake->loaded[--fake->loaded_count];
    if (p->generation == g)
        p->generation = NULL;
    enter();
    close_pools(g);
    plane_leave(p, g);
    leave();
}

/* fake.open() -> ms of the clock that it has reached; whatever was open is closed. What was got before it is of no use
 * any more: fake.turn() -> a number that tells. */
static int l_open(lua_State *L)
{
    enter();
    fronts_cut(&fake->plane.fronts);
    loop_step(fake->plane.loop);
    leave();
    while (fake->loaded_count)
        unload(0);
    if (!load_own_lua(L))
        return luaL_error(L, "the gateway's own Lua does not load");
    lua_pushnumber(L, (lua_Number)fake->plane.loop->clock.now_ms);
    fake->turn++;
    return 1;
}

static int l_turn(lua_State *L)
{
    lua_pushnumber(L, fake->turn);
    return 1;
}

/* fake.names(on): from now on names are found in memory, also by the configuration. */
static int l_names(lua_State *L)
{
    resolver_replace(lua_toboolean(L, 1) ? find_host : NULL);
    return 0;
}

/* -- generations; known by their address -- */

static struct generation *check_generation(lua_State *L)
{
    return (struct generation *)(uintptr_t)luaL_checknumber(L, 1);
}

/* Below 0: there is none of that address, or no more. */
static int index_of(const struct generation *g)
{
    for (uint32_t i = 0; i < fake->loaded_count; i++)
        if (fake->loaded[i] == g)
            return (int)i;
    return -1;
}

/* fake.load(address) -> true, or nil and why; takes it over. */
static int l_load(lua_State *L)
{
    struct generation *g = check_generation(L);
    struct plane *p = &fake->plane;
    char why[1024];
    generation_open(g, 1);
    enter();
    enum rc rc = g->plugins.len ? RC_AGAIN : RC_OK;
    while (rc == RC_AGAIN)
        rc = chains.prepare(p, g, why, sizeof why);
    bool good = rc == RC_OK;
    leave();
    if (!good) {
        generation_drop(g);
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    g->users[0].count++;
    fake->loaded = realloc(fake->loaded, (fake->loaded_count + 1) * sizeof(*fake->loaded));
    if (!fake->loaded)
        abort();
    fake->loaded[fake->loaded_count++] = g;
    lua_pushboolean(L, true);
    return 1;
}

static int l_unload(lua_State *L)
{
    int i = index_of(check_generation(L));
    if (i >= 0)
        unload((uint32_t)i);
    return 0;
}

/* fake.use(address): new requests are for it. */
static int l_use(lua_State *L)
{
    struct generation *g = check_generation(L);
    if (index_of(g) < 0)
        return luaL_error(L, "this gateway is over: another spec has taken its place");
    plane_swap(&fake->plane, g);
    return 0;
}

/* -- time -- */

/* fake.time(us, wall_us) */
static int l_time(lua_State *L)
{
    clock_freeze((uint64_t)luaL_checknumber(L, 1), (uint64_t)luaL_checknumber(L, 2));
    clock_tick(&fake->plane.loop->clock);
    return 0;
}

static int l_thaw(lua_State *L)
{
    (void)L;
    clock_thaw();
    return 0;
}

static int l_step(lua_State *L)
{
    (void)L;
    enter();
    loop_step(fake->plane.loop);
    leave();
    return 0;
}

/* fake.due() -> ms of the clock when something is to happen by itself, or nil. */
static int l_due(lua_State *L)
{
    uint64_t due = deadlines_next(&fake->plane.loop->deadlines);
    if (due == DEADLINE_NEVER)
        return 0;
    lua_pushnumber(L, (lua_Number)due);
    return 1;
}

/* -- connections; known by their number -- */

static struct far *check_far(lua_State *L)
{
    struct far *f = slots_get(&fake->fars, luaL_checknumber(L, 1));
    if (!f)
        luaL_error(L, "there is no such connection");
    return f;
}

static const char *copy_of(const char *text) { return text ? strdup(text) : NULL; }

/* fake.accept(ip, port, local_port, listener[, tls version, cipher, server name]) -> connection */
static int l_accept(lua_State *L)
{
    struct addr peer;
    if (!addr_parse_ip(slice_text(luaL_checkstring(L, 1)), (uint16_t)luaL_checkinteger(L, 2), &peer))
        return luaL_error(L, "expected the IP address of a client, found \"%s\"", lua_tostring(L, 1));
    struct front_start start = {
        .local_port = (uint16_t)luaL_checkinteger(L, 3), .listener = (uint32_t)luaL_checkinteger(L, 4),
    };
    struct far *f = far_new();
    f->tls.version = copy_of(lua_tostring(L, 5));
    f->tls.cipher = copy_of(lua_tostring(L, 6));
    f->tls.server_name = copy_of(lua_tostring(L, 7));
    enter();
    fronts_accept_wire(&fake->plane.fronts, &f->wire, &peer.u.any, &start, &f->tls);
    leave();
    lua_pushnumber(L, f->number);
    return 1;
}

static void push_host(lua_State *L, const struct addr *to)
{
    char text[ADDR_TEXT];
    uint32_t i = to->u.any.sa_family == AF_INET ? ntohl(to->u.v4.sin_addr.s_addr) - HOST_ADDRESS - 1 : NAMES_MAX;
    struct peer peer = peer_of(&to->u.any);
    if (i < fake->name_count)
        lua_pushstring(L, fake->names[i]);
    else if (peer.family == AF_UNIX)
        lua_pushstring(L, to->u.un.sun_path);
    else
        lua_pushlstring(L, text, peer_print_ip(&peer, text));
}

/* fake.dialled() -> the next new connection to somebody else, "http", "https" or "socket", host or path, port (0: a
 * path); nothing where there is none. */
static int l_dialled(lua_State *L)
{
    static const char *const kinds[] = { [DIAL_HTTP] = "http", [DIAL_HTTPS] = "https", [DIAL_SOCKET] = "socket" };
    struct link *l = list_shift(&fake->dialled);
    if (!l)
        return 0;
    const struct far *f = LINK_OWNER(l, struct far, in_dialled);
    lua_pushnumber(L, f->number);
    lua_pushstring(L, kinds[f->what]);
    push_host(L, &f->to);
    lua_pushinteger(L, peer_of(&f->to.u.any).port);
    return 4;
}

static int do_wire(lua_State *L, void (*act)(struct wire *w))
{
    struct far *f = check_far(L);
    enter();
    act(&f->wire);
    leave();
    return 0;
}

static void refuse(struct wire *w) { wire_refuse(w, ECONNREFUSED); }

static int l_open_wire(lua_State *L) { return do_wire(L, wire_open); }
static int l_refuse(lua_State *L) { return do_wire(L, refuse); }
static int l_finish(lua_State *L) { return do_wire(L, wire_end); }
static int l_reset(lua_State *L) { return do_wire(L, wire_reset); }

/* fake.send(connection, bytes) -> whether anybody still reads */
static int l_send(lua_State *L)
{
    struct far *f = check_far(L);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    enter();
    lua_pushboolean(L, wire_send(&f->wire, slice_make(bytes, len)));
    leave();
    return 1;
}

/* fake.take(connection) -> bytes, whether more may come */
static int l_take(lua_State *L)
{
    struct far *f = check_far(L);
    struct slice out = buf_slice(&f->wire.out);
    lua_pushlstring(L, out.len ? out.at : "", out.len);
    buf_consume(&f->wire.out, out.len);
    lua_pushboolean(L, !f->wire.shut);
    return 2;
}

/* fake.forget(connection): resets it where it is not closed yet. */
static int l_forget(lua_State *L)
{
    struct far *f = check_far(L);
    enter();
    if (f->wire.stream) {
        wire_reset(&f->wire);
        loop_step(fake->plane.loop);
    }
    if (f->wire.stream)
        stream_close(f->wire.stream);   /* nobody has looked at it again: a socket of a plugin's */
    leave();
    link_remove(&f->in_dialled);
    slots_remove(&fake->fars, f->number);
    wire_free(&f->wire);
    free((char *)(uintptr_t)f->tls.version);
    free((char *)(uintptr_t)f->tls.cipher);
    free((char *)(uintptr_t)f->tls.server_name);
    free(f);
    return 0;
}

/* -- what was told -- */

static int give(lua_State *L, struct buf *b)
{
    struct slice s = buf_slice(b);
    lua_pushlstring(L, s.len ? s.at : "", s.len);
    buf_consume(b, s.len);
    return 1;
}

/* fake.log() -> lines since the last call */
static int l_log(lua_State *L) { return give(L, &fake->log); }

/* fake.failures() -> of each error of a hook: plugin, hook and text, with a NUL behind each */
static int l_failures(lua_State *L) { return give(L, &fake->failures); }

/* fake.access() -> the next line of an access log, or nothing */
static int l_access(lua_State *L)
{
    uint32_t tag;
    struct slice line;
    if (!queue_peek(&fake->plane.log, &tag, &line))
        return 0;
    lua_pushlstring(L, line.at, line.len);
    queue_release(&fake->plane.log);
    return 1;
}

int luaopen_tidegate_fake(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "open", l_open }, { "turn", l_turn }, { "names", l_names },
        { "load", l_load }, { "unload", l_unload }, { "use", l_use },
        { "time", l_time }, { "thaw", l_thaw }, { "step", l_step }, { "due", l_due },
        { "accept", l_accept }, { "dialled", l_dialled }, { "open_wire", l_open_wire }, { "refuse", l_refuse },
        { "send", l_send }, { "finish", l_finish }, { "reset", l_reset }, { "take", l_take }, { "forget", l_forget },
        { "log", l_log }, { "failures", l_failures }, { "access", l_access },
        { NULL, NULL },
    };
    if (!fake)
        make();
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
