#include "agent/service/pause.h"

#include <string.h>

#include "agent/base/mem.h"
#include "agent/base/when.h"

/* As much as there is room for, and no half character. */
static void put_name(const char *name, char *to, size_t room)
{
    size_t n = strlen(name);
    if (n >= room) {
        n = room - 1;
        while (n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80)
            n--;
    }
    memcpy(to, name, n);
    to[n] = '\0';
}

void pause_apply(struct ledger *ledger, const struct pause_request *request, int64_t now_ms)
{
    bool ends = request->for_ms > 0 && request->for_ms < LEDGER_PAUSE_MOST_MS;
    struct ledger_pause pause = {.until_ms = ends ? now_ms + request->for_ms : LEDGER_PAUSE_OPEN};
    put_name(request->by, pause.by, sizeof pause.by);
    ledger_set_pause(ledger, request->resume ? NULL : &pause);
}

char *pause_words(struct ledger *ledger, int64_t now_ms)
{
    struct ledger_pause pause;
    char until[WHEN_TEXT] = "resumed";
    if (!ledger_get_pause(ledger, &pause) || pause.until_ms <= now_ms)
        return NULL;
    if (pause.until_ms != LEDGER_PAUSE_OPEN)
        when_rfc3339(pause.until_ms, until);
    return mem_printf("paused by %s until %s", pause.by, until);
}
