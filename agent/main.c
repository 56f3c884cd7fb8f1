/* chorus-agent: reads the general options and runs one command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "agent/base/json.h"
#include "agent/commands/command.h"
#include "agent/commands/describe.h"

static const struct command commands[] = {
    {"run", "", "the service: watch, queue, upload, until it is told to end", "", command_run},
    {"init", "[--watch DIR --owner EMAIL]",
     "write a configuration: for the recording folders found here, or for this one",
     "  --watch DIR     do not look around: this folder\n"
     "  --owner EMAIL   all of it belongs to this Chorus user\n"
     "  --root DIR      look around below this folder instead\n",
     command_init},
    {"once", "[--watch NAME] [--owner EMAIL] [PATH...]",
     "take in what the folders (or these paths) hold now, upload it, end",
     "  --watch NAME    take what this watch holds; with PATHs: take them by its rules\n"
     "  --owner EMAIL   all of it belongs to this Chorus user, whatever the rules say\n",
     command_once},
    {"check", "[--online]", "read the configuration, report every error, check folders",
     "  --online        also prove the token and the owners against Chorus\n", command_check},
    {"doctor", "",
     "check --online: the machine, the folders, the way to Chorus, each with what to do", "",
     command_doctor},
    {"explain", "[--names FILE] [--dir PATH] [--watch NAME] [--json] [PATH...]",
     "what would happen to a file and why, and its story so far",
     "  --names FILE    a line for each name in FILE (- for stdin), judged by the names alone\n"
     "  --dir PATH      a line for each file below PATH, looked at as well\n"
     "  --watch NAME    whose rules are tried for names and trees that are below no watch\n"
     "  --json          with --names and --dir: one JSON object a line, the counts on stderr\n",
     command_explain},
    {"status", "[--json] [--check [--waiting AGE] [--held AGE]]",
     "counts, what is in flight, watches, errors",
     "  --json          one JSON object\n"
     "  --check         one line and exit 0, 1 or 2, as monitoring plug-ins do\n"
     "  --waiting AGE   with --check: warn when the oldest waits longer (default 1h)\n"
     "  --held AGE      with --check: warn when one is held longer (default 1d)\n",
     command_status},
    {"list", "[--state STATE] [--json] [PATH...]", "the ledger's recordings",
     "  --state STATE   only those in this state (queued, uploaded, held, ...)\n"
     "  --json          one JSON object a line\n",
     command_list},
    {"retry", "[PATH...] [--failed] [--held] [--undelete]", "put recordings back in the queue",
     "  --failed        all that failed\n"
     "  --held          all that are held\n"
     "  --undelete      lift what a deletion blocks: these PATHs are uploaded again\n",
     command_retry},
    {"pause", "[DURATION]",
     "send nothing for so long, or until resumed; watching and checksums go on",
     "  DURATION        a number with ms, s, min, h or d, such as 2h; without it until `resume`\n",
     command_pause},
    {"resume", "", "end a pause", "", command_resume},
    {"delete",
     "TARGET... [--reason TEXT] [--requested-by TEXT] [--local] [--force] [--dry-run] [--expect N] "
     "[--wait]",
     "request the deletion of recordings from Chorus",
     "  TARGET          a path, glob:PATTERN, name:FILE, sha256:HEX, engagement:ID, a Chorus "
     "link,\n"
     "                  phone:DIGITS or field:NAME=VALUE\n"
     "  --reason TEXT   why; stands in the result and in the audit\n"
     "  --requested-by TEXT\n"
     "  --local         remove the local copies, too\n"
     "  --force         also remove playlist moments cut from it\n"
     "  --dry-run       only tell what would be deleted\n"
     "  --expect N      refuse if it is not this number of recordings\n"
     "  --wait          follow it to its end and print the result\n",
     command_delete},
    {"audit", "[--verify] [--json]", "what was deleted on request",
     "  --verify        whether a row of it was changed or taken away\n"
     "  --json          one JSON object a line\n",
     command_audit},
    {"engagements", "[--from DATE] [--to DATE] [--owner EMAIL] [--name TEXT] [--json]",
     "what Chorus shows, each with the local recording that it is",
     "  --from DATE     from this day on, local time (--to DATE: up to and with it)\n"
     "  --owner EMAIL   only this user's\n"
     "  --name TEXT     only those whose name holds this text, case ignored\n"
     "  --json          one JSON object a line\n",
     command_engagements},
    {"users", "[--json] [--csv]", "the Chorus users that a recording can be given to",
     "  --json          one JSON object a line\n"
     "  --csv           a table agent,e-mail to begin with\n",
     command_users},
    {"backup", "FILE", "copy the ledger into a new file, also while the service runs", "",
     command_backup},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static int help(void)
{
    printf("chorus-agent %s: takes finished call recordings from watched folders to Chorus, "
           "exactly once.\n\n"
           "usage: chorus-agent [--config FILE] COMMAND [ARGUMENTS]\n\ncommands:\n",
           command_version);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-11s %s\n", commands[i].name, commands[i].summary);
    printf("\noptions:\n%s", describe_general_options);
    return EX_OK;
}

static int help_command(const struct command *command)
{
    printf("usage: chorus-agent [--config FILE] %s %s\n\n%s\n", command->name, command->arguments,
           command->summary);
    if (command->options[0] != '\0')
        printf("\n%s", command->options);
    if (command->run == command_check)
        describe_keys_as_text();
    return EX_OK;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* What the general options said; they may stand before or after the command. */
struct general {
    const char *config_file;
    const char *describe; /* a part, for the build; NULL */
    bool help, version, bad;
};

/* Takes the general options out of argv; returns how many arguments are left. */
static int take_general(int argc, char **argv, struct general *general)
{
    int kept = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (i < argc)
                argv[kept++] = argv[i++];
            break;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            general->help = true;
        } else if (i == 1 && strcmp(argv[i], "--describe") == 0 && argc == 3) {
            general->describe = argv[++i];
        } else if (strcmp(argv[i], "--version") == 0) {
            general->version = true;
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            general->config_file = argv[i] + 9;
        } else if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "-c") == 0) {
            general->bad = general->bad || i + 1 == argc;
            if (i + 1 < argc)
                general->config_file = argv[++i];
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    return kept;
}

/* The token is in this memory: no core dump, and no other process of this user may read it. */
static void keep_memory_private(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its leak check attaches to the process */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

int main(int argc, char **argv)
{
    struct general general = {.config_file = COMMAND_DEFAULT_CONFIG};
    int kept = take_general(argc, argv, &general);
    const struct command *command = kept > 0 ? find(argv[0]) : NULL;
    if (general.version) {
        printf("chorus-agent %s\n", command_version);
        return EX_OK;
    }
    if (general.describe != NULL)
        return describe_part(commands, COMMAND_COUNT, general.describe);
    if (general.help && kept == 0)
        return help();
    if (kept == 0 || general.bad) {
        command_say("%s; see `chorus-agent --help`",
                    general.bad ? "--config needs a file" : "no command");
        return EX_USAGE;
    }
    if (command == NULL) {
        command_say("there is no command `%s`; see `chorus-agent --help`", argv[0]);
        return EX_USAGE;
    }
    if (general.help)
        return help_command(command);
    keep_memory_private();
    json_begin();
    struct invocation invocation = {general.config_file, kept, argv};
    return command->run(&invocation);
}
