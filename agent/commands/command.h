/*
 * The commands. Each reads its own arguments (getopt_long), prints a result to stdout and all else
 * to stderr, and returns an exit code of interface.md.
 */
#ifndef CHORUS_COMMANDS_COMMAND_H
#define CHORUS_COMMANDS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/config/config.h"
#include "agent/ledger/ledger.h"

#define COMMAND_DEFAULT_CONFIG "/etc/chorus-agent/chorus-agent.yaml"

struct invocation {
    const char *config_file;
    int argc;
    char **argv; /* argv[0] is the command's name */
};

struct command {
    const char *name;
    const char *arguments; /* for its usage line */
    const char *summary;   /* one line */
    const char *options;   /* lines for --help, "" if none */
    int (*run)(const struct invocation *invocation);
};

int command_run(const struct invocation *invocation);
int command_once(const struct invocation *invocation);
int command_backup(const struct invocation *invocation);
int command_init(const struct invocation *invocation);
int command_doctor(const struct invocation *invocation);
int command_check(const struct invocation *invocation);
int command_explain(const struct invocation *invocation);
int command_status(const struct invocation *invocation);
int command_list(const struct invocation *invocation);
int command_users(const struct invocation *invocation);
int command_pause(const struct invocation *invocation);
int command_resume(const struct invocation *invocation);
int command_retry(const struct invocation *invocation);
int command_delete(const struct invocation *invocation);
int command_audit(const struct invocation *invocation);
int command_engagements(const struct invocation *invocation);

/* --- shared by commands (shared.c) --- */

/* "chorus-agent: ..." on stderr. */
void command_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "chorus-agent COMMAND: ..., try --help"; returns EX_USAGE. */
int command_usage(const struct invocation *invocation, const char *problem);

/* What a command wants the configuration for. */
enum config_use {
    CONFIG_TO_RUN,  /* every problem is told */
    CONFIG_TO_ACT,  /* errors only */
    CONFIG_TO_LOOK, /* errors only, and none about the token file or a table */
};

/* Reads the configuration; problems go to stderr. 0 or EX_CONFIG. */
int command_load_config(const struct invocation *invocation, enum config_use use,
                        struct config **config);

/* Started as root, become the owner of state_dir. `make`: create it (0700) if it is missing, and as
 * root control_dir, too, for that owner. 0; EX_CANTCREAT; EX_NOPERM. */
int command_enter_state_dir(const struct config *config, bool make);

/* Opens the ledger to read. 0; 1: there is none yet (*ledger NULL); or EX_IOERR, told. */
int command_open_ledger(const struct config *config, struct ledger **ledger);
/* For a command that holds the lock: opens it to write, making it if there is none. 0 or EX_IOERR,
 * told. */
int command_open_ledger_to_write(const struct config *config, struct ledger **ledger);
/* Makes durable what was changed in it. 0; EX_IOERR: nothing was, told. */
int command_commit(struct ledger *ledger);

/* An argument as an absolute path without "." and ".." and doubled slashes; no link is followed.
 * New string. */
char *command_absolute_path(const char *argument);

/* The paths among the arguments from `from` on: new array of new strings. */
char **command_absolute_paths(const struct invocation *invocation, int from, size_t *count);
void command_free_paths(char **paths, size_t count);

/* Bytes for people: "7.1 MB". */
enum { COMMAND_SIZE_TEXT = 24 };
void command_size_text(unsigned long long bytes, char text[COMMAND_SIZE_TEXT]);

/* The program's version. */
extern const char command_version[];

#endif
