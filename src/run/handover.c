#include "run/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static const char variable[] = "TIDEGATE_HANDOVER";

void handover_init(struct handover *h) { *h = (struct handover){ .channel = -1, .old_channel = -1, .pid_fd = -1 }; }

struct held *handover_find(struct handover *h, const char *address)
{
    struct held *l = h->held;
    while (l && strcmp(l->address, address) != 0)
        l = l->next;
    return l;
}

struct held *handover_add(struct handover *h, const char *address, const struct addr *real, const int *fds, int count)
{
    struct held *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    snprintf(l->address, sizeof l->address, "%s", address);
    l->real[addr_print(real, l->real)] = 0;
    memcpy(l->fds, fds, (size_t)count * sizeof *fds);
    l->count = count;
    l->next = h->held;
    h->held = l;
    return l;
}

static void close_held(struct held *l)
{
    for (int i = 0; i < l->count; i++)
        close(l->fds[i]);
    l->count = 0;
}

void handover_remove(struct handover *h, const char *address)
{
    for (struct held **l = &h->held; *l; l = &(*l)->next)
        if (strcmp((*l)->address, address) == 0) {
            struct held *old = *l;
            *l = old->next;
            close_held(old);
            if (strncmp(address, "unix:", 5) == 0)
                (void)unlink(address + 5);      /* nobody listens there any more */
            free(old);
            return;
        }
}

void handover_close_listeners(struct handover *h)
{
    for (struct held *l = h->held; l; l = l->next)
        close_held(l);
}

void handover_close(struct handover *h)
{
    handover_close_listeners(h);
    if (h->channel >= 0)
        close(h->channel);
    if (h->old_channel >= 0)
        close(h->old_channel);
    if (h->pid_fd >= 0)
        close(h->pid_fd);
}

/* What cannot be marked is not handed over, or stays open in a worker; the descriptors are our own, so it can be. */
static void set_flag(int fd, int flag)
{
    if (fd >= 0 && fcntl(fd, F_SETFD, flag) < 0)
        log_error("supervisor", "cannot mark a descriptor for the handover", "fd", log_number((uint64_t)fd), "why",
                  strerror(errno));
}

static void set_survives(struct handover *h, bool survives)
{
    int flag = survives ? 0 : FD_CLOEXEC;
    for (struct held *l = h->held; l; l = l->next)
        for (int i = 0; i < l->count; i++)
            set_flag(l->fds[i], flag);
    set_flag(h->channel, flag);
    set_flag(h->pid_fd, flag);
}

/* worker, channel, pid_fd, pid_file LF, then per address: address, real, fd, fd ... LF; tabs between. */
void handover_export(struct handover *h)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        abort();
    fprintf(f, "%d\t%d\t%d\t%s\n", (int)h->worker, h->channel, h->pid_fd, h->pid_file);
    for (struct held *l = h->held; l; l = l->next) {
        fprintf(f, "%s\t%s", l->address, l->real);
        for (int i = 0; i < l->count; i++)
            fprintf(f, "\t%d", l->fds[i]);
        fprintf(f, "\n");
    }
    if (fclose(f) != 0 || setenv(variable, text, 1) != 0)
        abort();
    free(text);
    set_survives(h, true);
}

void handover_unexport(struct handover *h)
{
    (void)unsetenv(variable);       /* fails for a bad name only */
    set_survives(h, false);
}

bool handover_waits(void) { return getenv(variable) != NULL; }

static void import_line(struct handover *h, char *line)
{
    char *save = NULL, *address = strtok_r(line, "\t", &save), *real = strtok_r(NULL, "\t", &save);
    struct addr a;
    int fds[LOOPS_MAX], count = 0;
    for (char *fd; (fd = strtok_r(NULL, "\t", &save)) && count < LOOPS_MAX;)
        fds[count++] = (int)strtol(fd, NULL, 10);
    if (address && real && addr_parse(slice_text(real), &a))
        handover_add(h, address, &a, fds, count);
}

void handover_import(struct handover *h)
{
    const char *text = getenv(variable);
    int worker;
    if (!text)
        return;
    char *copy = strdup(text), *save = NULL;
    if (!copy)
        abort();
    char *line = strtok_r(copy, "\n", &save);
    if (line && sscanf(line, "%d\t%d\t%d\t%4095[^\n]", &worker, &h->channel, &h->pid_fd, h->pid_file) >= 3) {
        h->worker = worker;
        h->inherited = true;
        while ((line = strtok_r(NULL, "\n", &save)))
            import_line(h, line);
        set_survives(h, false);
    }
    free(copy);
    (void)unsetenv(variable);
}
