#include "agent/commands/describe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "agent/plan/states.h"

const char describe_general_options[] =
    "  -c, --config FILE   default " COMMAND_DEFAULT_CONFIG "\n"
    "      --help          this, or `chorus-agent COMMAND --help`; `check --help` lists every "
    "configuration key\n"
    "      --version\n";

void describe_keys_as_text(void)
{
    printf("\nconfiguration keys:\n");
    for (size_t i = 0; i < config_key_count(); i++) {
        struct config_key_help key = config_key_at(i);
        printf("  %s: %s%s%s\n      %s\n", key.key, key.type,
               key.default_text[0] != '\0' ? ", default " : "", key.default_text, key.help);
    }
}

/* --- scdoc --- */

/* What scdoc would take for markup. */
static void put_plain(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("\\*_`~#[]|<>", text[i]) != NULL || (i == 0 && strchr("-.", text[i]) != NULL))
            putchar('\\');
        putchar(text[i]);
    }
}

static void put_text(const char *text)
{
    put_plain(text, strlen(text));
}

/* "  --watch NAME    take what ...": the option with its argument, then the words. A line further
 * in goes on with the one before. */
static void put_option_line(const char *line, size_t n)
{
    size_t at = strspn(line, " ");
    if (at >= n)
        return;
    if (line[at] != '-' && at > 2) {
        printf("\t");
        put_plain(line + at, n - at);
        printf("\n");
        return;
    }
    size_t end = at;
    while (end < n && !(line[end] == ' ' && end + 1 < n && line[end + 1] == ' '))
        end++;
    printf("\n*");
    put_plain(line + at, end - at);
    printf("*\n");
    end += strspn(line + end, " ");
    if (end < n) {
        printf("\t");
        put_plain(line + end, n - end);
        printf("\n");
    }
}

static void put_options(const char *options)
{
    while (*options != '\0') {
        size_t n = strcspn(options, "\n");
        put_option_line(options, n);
        options += n + (options[n] == '\n');
    }
}

static void print_commands(const struct command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("## ");
        put_text(commands[i].name);
        printf("\n\n*chorus-agent* ");
        put_text(commands[i].name);
        if (commands[i].arguments[0] != '\0') {
            printf(" ");
            put_text(commands[i].arguments);
        }
        printf("\n\n");
        put_text(commands[i].summary);
        printf("\n");
        put_options(commands[i].options);
        printf("\n");
    }
}

static size_t section_length(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot != NULL ? (size_t)(dot - key) : 0;
}

static void print_keys(void)
{
    const char *section = NULL;
    size_t length = 0;
    for (size_t i = 0; i < config_key_count(); i++) {
        struct config_key_help key = config_key_at(i);
        size_t n = section_length(key.key);
        if (section == NULL || n != length || strncmp(section, key.key, n) != 0) {
            section = key.key;
            length = n;
            printf("## ");
            if (n > 0)
                put_plain(key.key, n);
            else
                printf("top level");
            printf("\n\n");
        }
        printf("*");
        put_text(key.key);
        printf("*\n\t");
        put_text(key.type);
        if (key.default_text[0] != '\0') {
            printf(", default ");
            put_text(key.default_text);
        }
        printf("\n\n\t");
        put_text(key.help);
        printf("\n\n");
    }
}

/* --- completion --- */

/* Length of the option that stands there, 0: none. */
static size_t option_length(const char *text)
{
    size_t n = 2;
    if (strncmp(text, "--", 2) != 0)
        return 0;
    while (islower((unsigned char)text[n]) || text[n] == '-')
        n++;
    return n > 2 ? n : 0;
}

/* "--watch " of "[--watch NAME] ...". */
static void print_argument_words(const char *arguments)
{
    for (const char *at = arguments; *at != '\0'; at++) {
        size_t n = at == arguments || strchr(" [", at[-1]) != NULL ? option_length(at) : 0;
        if (n > 0)
            printf("%.*s ", (int)n, at);
    }
}

/* "--watch " of "  -w, --watch NAME   take ...", unless the arguments have it; nothing of a line
 * that goes on. */
static void print_option_word(const char *line, size_t n, const char *arguments)
{
    char word[64];
    size_t at = strspn(line, " ");
    if (at >= n || line[at] != '-')
        return;
    while (at < n && option_length(line + at) == 0)
        at++;
    size_t length = at < n ? option_length(line + at) : 0;
    if (length == 0 || length >= sizeof word)
        return;
    snprintf(word, sizeof word, "%.*s", (int)length, line + at);
    if (strstr(arguments, word) == NULL)
        printf("%s ", word);
}

static void print_option_words(const char *options, const char *arguments)
{
    print_argument_words(arguments);
    while (*options != '\0') {
        size_t n = strcspn(options, "\n");
        print_option_word(options, n, arguments);
        options += n + (options[n] == '\n');
    }
}

static void print_bash(const struct command *commands, size_t count)
{
    printf("_chorus_agent_commands='");
    for (size_t i = 0; i < count; i++)
        printf("%s%s", i > 0 ? " " : "", commands[i].name);
    printf("'\n_chorus_agent_states='");
    for (int i = 0; i < STATE_COUNT; i++)
        printf("%s%s", i > 0 ? " " : "", state_name((enum recording_state)i));
    printf("'\n_chorus_agent_general='");
    print_option_words(describe_general_options, "");
    printf("'\n_chorus_agent_options() {\n    case $1 in\n");
    for (size_t i = 0; i < count; i++) {
        printf("    %s) echo '", commands[i].name);
        print_option_words(commands[i].options, commands[i].arguments);
        printf("' ;;\n");
    }
    printf("    esac\n}\n");
}

int describe_part(const struct command *commands, size_t count, const char *part)
{
    if (strcmp(part, "commands") == 0)
        print_commands(commands, count);
    else if (strcmp(part, "options") == 0)
        put_options(describe_general_options);
    else if (strcmp(part, "keys") == 0)
        print_keys();
    else if (strcmp(part, "bash") == 0)
        print_bash(commands, count);
    else {
        command_say("--describe prints commands, options, keys or bash");
        return EX_USAGE;
    }
    return EX_OK;
}
