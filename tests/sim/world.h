/* The configuration that an administrator of this world wrote. */
#ifndef CHORUS_SIM_WORLD_H
#define CHORUS_SIM_WORLD_H

#include <stdbool.h>

#include "agent/config/config.h"

/* Draws one for so many watches. */
void config_draw(int watches);
int64_t config_retry_for_ms(void);
/* The same configuration every time; `complete`: every agent's owner is known. */
struct config *config_of_world(bool complete);

#endif
