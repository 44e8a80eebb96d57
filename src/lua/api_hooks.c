/* api_hooks: the calls of api.h that a running hook makes of its surroundings: waiting, time, budget, log. */
#include <sys/random.h>

#include "base/log.h"
#include "lua/api.h"
#include "lua/chains.h"
#include "lua/report.h"
#include "proxy/traffic.h"

static const char *const hook_names[HOOK_COUNT] = {
    [HOOK_REQUEST] = "request", [HOOK_REQUEST_BODY] = "request_body", [HOOK_UPSTREAM] = "upstream",
    [HOOK_RESPONSE] = "response", [HOOK_RESPONSE_BODY] = "response_body", [HOOK_MESSAGE] = "message",
    [HOOK_FAILURE] = "failure", [HOOK_LOG] = "log", [HOOK_WS_OPEN] = "ws_open", [HOOK_WS_CLOSE] = "ws_close",
    [HOOK_MESSAGE_BACK] = "message",
};

static struct coroutine *current(void)
{
    struct vm *vm = vm_here();
    return vm ? vm->current : NULL;
}

double tide_now(void) { return (double)clock_wall_us() / 1e6; }
double tide_monotonic(void) { return (double)clock_us() / 1e6; }

double tide_random(void)
{
    uint32_t n;
    return getrandom(&n, sizeof n, 0) == sizeof n ? n : (double)(clock_us() & UINT32_MAX);
}

/* -- waiting -- */

double tide_wait(double seconds)
{
    struct coroutine *co = current();
    if (!co || !co->may_wait)
        return 0;
    return coroutine_wait(co, seconds < 0 ? -1 : seconds * 1000);
}

int tide_timed_out(void)
{
    const struct coroutine *co = current();
    return co && co->timed_out;
}

void tide_wake(double wait)
{
    if (vm_here())
        coroutine_wake(vm_here(), wait);
}

const char *tide_place(void)
{
    const struct coroutine *co = current();
    if (!co)
        return "load";
    return co->x ? hook_names[co->hook] : "background";
}

/* -- accounting -- */

int tide_hook_slot(const char *plugin, const char *instance, const char *hook, const char *route)
{
    struct label label = { { slice_text(plugin), slice_text(instance), slice_text(hook), slice_text(route) } };
    return (int)labels_number(&hook_labels, &label);
}

void tide_hook_begin(int slot)
{
    struct coroutine *co = current();
    if (co)
        coroutine_account(co, (uint32_t)slot);
}

void tide_hook_loading(int slot)
{
    if (vm_here())
        vm_here()->loading_slot = (uint32_t)slot;
}

void tide_hook_answered(void)
{
    const struct coroutine *co = current();
    if (co && co->stat)
        atomic_fetch_add_explicit(&co->stat->answers, 1, memory_order_relaxed);
}

void tide_hook_failed(const char *message)
{
    struct coroutine *co = current();
    if (!co)
        return;
    if (co->stat)
        atomic_fetch_add_explicit(&co->stat->errors, 1, memory_order_relaxed);
    report_text(co, message ? message : "an error that is no text");
}

int tide_budget_left(void)
{
    struct coroutine *co = current();
    return !co || coroutine_budget_left(co);
}

int tide_hook_count(void) { return (int)labels_count(&hook_labels); }

/* -- metrics -- */

int tide_metric(const char *kind, const char *name, const char *help, const char *labels)
{
    struct label l = { { slice_text(kind), slice_text(name), slice_text(help), slice_text(labels) } };
    return (int)labels_number(&metric_labels, &l);
}

static struct metric *metric_of(int number)
{
    struct vm *vm = vm_here();
    return vm && number > 0 && number < SERIES_MAX ? metric_at(&vm->plane->metrics, (uint32_t)number) : NULL;
}

void tide_metric_add(int number, double n)
{
    struct metric *m = metric_of(number);
    if (m)
        atomic_store_explicit(&m->value, atomic_load_explicit(&m->value, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

void tide_metric_set(int number, double value)
{
    struct metric *m = metric_of(number);
    if (m)
        atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

/* -- log -- */

int tide_log_level(void) { return (int)log_lowest_level(); }

void tide_log(int level, const char *message, const char *pairs, size_t len)
{
    const struct coroutine *co = current();
    struct label l = { 0 };
    if (co)
        (void)labels_get(&hook_labels, co->slot, &l);       /* unknown: nothing to name */
    const char *who = l.words[HOOK_INSTANCE].at, *request = co && co->x ? log_slice(co->x->id) : NULL;
    log_pairs((enum log_level)level, "plugin", message, slice_make(pairs, len), "plugin", who, "request", request,
              "route", co && co->x && co->x->route ? co->x->route->settings.name.at : NULL);
}
