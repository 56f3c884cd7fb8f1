/*
 * Commands, options and configuration keys, as --help, the manual and the completion show them: all
 * from the table of commands and the schema. `--describe PART` prints them at build time.
 */
#ifndef CHORUS_COMMANDS_DESCRIBE_H
#define CHORUS_COMMANDS_DESCRIBE_H

#include "agent/commands/command.h"

/* The options that stand before or after every command: lines for --help. */
extern const char describe_general_options[];

/* Every key with type, default and help, for `check --help`. */
void describe_keys_as_text(void);

/* `part`: "commands", "options" or "keys" for the manual (scdoc), "bash" for the completion. 0, or
 * EX_USAGE, told. */
int describe_part(const struct command *commands, size_t count, const char *part);

#endif
