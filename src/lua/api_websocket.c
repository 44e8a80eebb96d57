/* api_websocket: the calls of api.h about the WebSocket that a request has become. */
#include "base/utf8.h"
#include "lua/api.h"
#include "lua/chains.h"
#include "proxy/websocket.h"

static uint32_t to_ms(double seconds)
{
    return seconds <= 0 ? 0 : seconds * 1000 >= UINT32_MAX ? UINT32_MAX : (uint32_t)(seconds * 1000 + 0.5);
}

int tide_websocket_set(double request, double ping, double pong, double write, double idle, double max_message)
{
    struct exchange *x = chains_exchange(request);
    if (!x)
        return TIDE_OVER;
    if (x->opens_websocket)
        return TIDE_LATE;
    struct websocket_settings *s = x->websocket_wish = arena_zero(&x->req.arena, sizeof *s);
    s->ping_ms = to_ms(ping);
    s->pong_ms = to_ms(pong);
    s->write_ms = to_ms(write);
    s->idle_ms = to_ms(idle);
    s->max_message = (uint64_t)max_message;
    return TIDE_OK;
}

static struct websocket *open_one(double request, int *result)
{
    struct exchange *x = chains_exchange(request);
    *result = x ? TIDE_ABSENT : TIDE_OVER;
    return x && x->websocket && x->websocket->is_open ? x->websocket : NULL;
}

bool tide_utf8_is_valid(const char *at, size_t len) { return utf8_is_valid(slice_make(at, len)); }

/* What was done from outside of the relay shows with its next run. */
static void wake(struct websocket *w)
{
    if (!w->is_running)
        loop_ready(w->plane->loop, w->wake);
}

int tide_websocket_send(double request, bool to_client, bool is_binary, const char *at, size_t len)
{
    int result;
    struct websocket *w = open_one(request, &result);
    if (!w)
        return result;
    if (!w->rules.sees_messages)
        return TIDE_ABSENT;
    enum rc rc = ws_relay_send(&w->relay, to_client ? WS_CLIENT : WS_SERVER, is_binary ? WS_BINARY : WS_TEXT,
                               slice_make(at, len));
    wake(w);
    return rc == RC_OK ? TIDE_OK : rc == RC_LIMIT ? TIDE_LIMIT : TIDE_LATE;
}

int tide_websocket_close(double request, int code, const char *reason, size_t len)
{
    int result;
    struct websocket *w = open_one(request, &result);
    if (!w)
        return result;
    if (!ws_close_code_is_valid((unsigned)code))
        return TIDE_BAD_VALUE;
    if (w->relay.closing_ms)
        return TIDE_LATE;
    ws_relay_close(&w->relay, (unsigned)code, slice_make(reason, len), NULL);
    wake(w);
    return TIDE_OK;
}

int tide_websocket_end(double request, struct tide_websocket_end *out)
{
    int result;
    struct websocket *w = open_one(request, &result);
    if (!w)
        return result;
    const struct ws_relay *r = &w->relay;
    const struct ws_end *client = &r->ends[WS_CLIENT], *server = &r->ends[WS_SERVER];
    *out = (struct tide_websocket_end){
        .code = r->code ? r->code : WS_CLOSE_ABNORMAL, .by = r->by_relay ? 2 : r->by, .why = r->why,
        .messages_in = (double)client->messages, .messages_out = (double)server->messages,
        .bytes_in = (double)client->bytes, .bytes_out = (double)server->bytes,
    };
    return TIDE_OK;
}
