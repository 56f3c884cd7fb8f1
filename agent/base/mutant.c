#include "agent/base/mutant.h"

#ifdef CHORUS_MUTANTS

#include <stdlib.h>
#include <string.h>

bool mutant(const char *name)
{
    static const char *planted; /* read once */
    if (planted == NULL) {
        planted = getenv("CHORUS_MUTANT");
        if (planted == NULL)
            planted = "";
    }
    return planted[0] != '\0' && strcmp(planted, name) == 0;
}

#else

typedef int nothing_here; /* an empty file is no C */

#endif
