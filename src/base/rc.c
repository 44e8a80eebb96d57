#include "base/rc.h"

#define RC_WORD(name, word, status) word,
#define RC_STATUS(name, word, status) status,

const char *rc_word(enum rc rc)
{
    static const char *const words[] = { RC_TABLE(RC_WORD) };
    return (unsigned)rc < RC_COUNT ? words[rc] : "unknown";
}

int rc_status(enum rc rc)
{
    static const short statuses[] = { RC_TABLE(RC_STATUS) };
    return (unsigned)rc < RC_COUNT ? statuses[rc] : 500;
}
