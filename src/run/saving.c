/* saving: what is to survive the process, dictionaries with a file, goes to disk. */
#include <stdlib.h>
#include <unistd.h>

#include "run/control_state.h"

void saving_run(struct control *c)
{
    lua_tell(c->L, "save", NULL, 0);
}

static _Atomic bool is_saved;

static void run_save(struct loop *loop, struct job *job)
{
    (void)loop;
    free(job);
    saving_run(the_control);
    is_saved = true;
}

/* The control thread may be stuck, too: it is not waited for for ever. */
void saving_from_afar(void)
{
    enum { PATIENCE_MS = 1000 };
    struct job *j = calloc(1, sizeof *j);
    if (!j)
        return;
    is_saved = false;
    j->run = run_save;
    loop_post(the_control->loop, j);
    for (int waited = 0; !is_saved && waited < PATIENCE_MS; waited++)
        usleep(1000);
}
