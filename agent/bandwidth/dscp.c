#include <strings.h>

#include "agent/bandwidth/bandwidth.h"

static const struct {
    const char *name;
    int dscp;
} classes[] = {
    {"none", 0},  {"le", 1},    {"cs1", 8},   {"cs2", 16},  {"af11", 10},
    {"af12", 12}, {"af13", 14}, {"af21", 18}, {"af22", 20}, {"af23", 22},
};

/* Voice (ef, va), video (af4x, cs4), signalling (cs5; cs3 and af3x with many makers of telephones),
 * routing (cs6, cs7). */
static const char *const for_calls[] = {"ef",   "va",   "cs3",  "cs4",  "cs5",  "cs6", "cs7",
                                        "af31", "af32", "af33", "af41", "af42", "af43"};

enum dscp_answer dscp_parse(const char *name, int *dscp)
{
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (strcasecmp(name, classes[i].name) == 0) {
            *dscp = classes[i].dscp;
            return DSCP_KNOWN;
        }
    }
    for (size_t i = 0; i < sizeof for_calls / sizeof for_calls[0]; i++) {
        if (strcasecmp(name, for_calls[i]) == 0)
            return DSCP_FOR_CALLS;
    }
    return DSCP_UNKNOWN;
}

const char *dscp_names(void)
{
    return "none, le, cs1, cs2, af11, af12, af13, af21, af22, af23";
}
