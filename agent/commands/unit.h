/*
 * What the service's unit, with its drop-ins, lets it do: `check` runs outside of it, where
 * everything looks reachable. Asked of the service manager (`systemctl show`), where one runs and
 * its unit reads this very configuration. Blocks, at most a few seconds.
 */
#ifndef CHORUS_COMMANDS_UNIT_H
#define CHORUS_COMMANDS_UNIT_H

#include <stdbool.h>

struct unit;

/* NULL: no manager, no such unit, or one for another configuration. Free with unit_free. */
struct unit *unit_ask(const char *config_file);
void unit_free(struct unit *unit);

/* Whether the service sees, and whether it may write, what lies at `path` (absolute). */
bool unit_shows(const struct unit *unit, const char *path);
bool unit_may_write(const struct unit *unit, const char *path);

#endif
