#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base.h"
#include "script.h"

enum kind { FLAG, NUMBER, MS, CODE, TEXT, LIST, CHOICE, PAIR };

struct option_row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *value; /* as --help shows it; for CHOICE the choices, parted by | */
    const char *help;
};

#define AT(member) offsetof(struct options, member)
#define SECTION(text)                                                                              \
    {                                                                                              \
        NULL, FLAG, 0, NULL, text                                                                  \
    }

static const struct option_row rows[] = {
    SECTION("Where and what"),
    {"port", NUMBER, AT(port), "N", "listen on 127.0.0.1:N; 0 (default): any free port"},
    {"dir", TEXT, AT(dir), "DIR",
     "keep everything here and read it again at the next start: stored.jsonl (what was stored and "
     "deleted, on the disk before the answer), requests.jsonl (one line for every header block), "
     "arrivals.jsonl (the same, at once, so that a killed double loses none)"},
    {"token", TEXT, AT(token), "T", "the token that is accepted; without it any token is"},
    {"script", TEXT, AT(script), "FILE", "faults to play, one rule a line; see below"},
    {"tls", PAIR, AT(tls_cert), "CERT KEY", "speak https with this PEM certificate and key"},
    {"idle", NUMBER, AT(idle_s), "SECONDS", "close a connection that is idle so long; 0: never"},
    {"keep-media", FLAG, AT(keep_media), NULL, "keep the bytes of what is stored in DIR/media/"},
    {"no-sync", FLAG, AT(no_sync), NULL, "do not wait for the disk (survives kill, not power cut)"},

    SECTION("Users and tokens"),
    {"auth", CHOICE, AT(auth), "raw|bearer",
     "unknown: published as raw; third parties send the Bearer scheme"},
    {"user", LIST, AT(users), "EMAIL", "a user that exists; repeat it; none given: all exist"},
    {"users", TEXT, AT(users_file), "FILE", "the same, one e-mail address a line"},
    {"me", TEXT, AT(me), "EMAIL", "whom the token belongs to"},
    {"users-shape", CHOICE, AT(users_shape), "users|list|jsonapi",
     "unknown: the schema of GET /v3/users"},
    {"unknown-user", CODE, AT(unknown_user), "STATUS",
     "unknown: how an owner that does not exist is refused (400)"},

    SECTION("Uploads"),
    {"id-field", CHOICE, AT(id_field), "engagement_id|id|data.id|callid|none",
     "unknown: where a 200 carries the new id"},
    {"answer", CHOICE, AT(answer), "object|success|refused|empty",
     "unknown: the body of a 200; success adds \"success\": true, refused stores nothing and says "
     "\"success\": false, empty is no body at all"},
    {"conflict", CHOICE, AT(conflict), "409|409-html|409-empty|400|422|200-false",
     "unknown: how a meeting_id already known is refused"},
    {"bad-form", CODE, AT(bad_form), "STATUS", "unknown: which status a bad form gets (400)"},
    {"refuse", CHOICE, AT(refuse), "late|early|abrupt",
     "unknown: whether 401, 413 and 429 come before the body is read; abrupt closes at once, so "
     "that the answer may be lost in a reset"},
    {"max-size", NUMBER, AT(max_size), "BYTES", "unknown: the size limit of one upload; 0: none"},
    {"refuse-extension", LIST, AT(refused_extensions), "EXT",
     "unknown: which extensions are taken; refuse this one with 415; repeat it"},

    SECTION("Uniqueness of meeting_id"),
    {"meeting-ids", CHOICE, AT(meeting_ids), "any|calendar",
     "unknown: whether a meeting_id that no calendar knows is taken"},
    {"calendar", LIST, AT(calendar), "ID", "a meeting_id that the calendar knows; repeat it"},
    {"calendar-known", FLAG, AT(calendar_known), NULL,
     "unknown: an id known only from the calendar counts as known"},
    {"deletion-frees", FLAG, AT(deletion_frees), NULL,
     "unknown: a deletion frees the meeting_id for another upload"},
    {"check-then-store", MS, AT(check_then_store_ms), "MS",
     "unknown: check the meeting_id when the body is there, store MS later without another look"},

    SECTION("Reads and deletions"),
    {"delete-after", MS, AT(delete_after_ms), "MS|never",
     "unknown: when an accepted deletion takes effect (0)"},
    {"delete-unknown", CODE, AT(delete_unknown), "STATUS",
     "unknown: the answer when a batch deletion names an id that does not exist (202)"},
    {"date-time", TEXT, AT(date_time), "upload|unknown|SECONDS",
     "unknown: the date_time of an upload: its own time, absent, or always this one"},
    {"private", TEXT, AT(private_rows), "all|N",
     "never return these in reads: all, or every Nth that is stored"},
    {"list-lag", MS, AT(list_lag_ms), "MS", "unknown: lists show an upload so much later"},
    {"read-lag", MS, AT(read_lag_ms), "MS", "unknown: its conversation reads 404 for so long"},
    {"processed-after", MS, AT(processed_after_ms), "MS|never",
     "unknown: when processing has ended (0)"},
    {"processed-state", TEXT, AT(processed_state), "STATE", "the state it ends in (done)"},
    {"repeat-rows", FLAG, AT(repeat_rows), NULL, "rows come again on the next page of a list"},
    {"loop-key", FLAG, AT(loop_key), NULL, "the last page of a list leads to the first again"},
};

static void print_help(void)
{
    puts("chorus-double: a Chorus that runs here, for tests.\n\n"
         "usage: chorus-double [switches]\n\n"
         "When it is ready it prints one line: chorus-double listening on http://127.0.0.1:PORT.\n"
         "SIGTERM and SIGINT end it. Of several choices the first is the default.");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct option_row *row = &rows[i];
        if (row->name == NULL) {
            printf("\n%s:\n", row->help);
            continue;
        }
        printf("  --%s%s%s\n        %s\n", row->name, row->value != NULL ? " " : "",
               row->value != NULL ? row->value : "", row->help);
    }
    puts("\nWithout a token, and outside the namespace of Chorus:\n"
         "  POST /double/script   the body is the script from now on (empty: none)\n"
         "  POST /double/token    the body is the token from now on (empty: all are refused)\n"
         "  GET /double/summary   counts: posts, whole, stored, distinct_sha256, doubled ...\n");
    puts(script_grammar);
}

static const struct option_row *find_row(const char *word)
{
    if (strncmp(word, "--", 2) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].name != NULL && strcmp(rows[i].name, word + 2) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool read_choice(const char *choices, const char *word, int *choice)
{
    size_t length = strlen(word);
    int position = 0;
    for (const char *at = choices; at != NULL; position++) {
        const char *end = strchr(at, '|');
        size_t size = end != NULL ? (size_t)(end - at) : strlen(at);
        if (size == length && strncmp(at, word, size) == 0) {
            *choice = position;
            return true;
        }
        at = end != NULL ? end + 1 : NULL;
    }
    return false;
}

static bool read_number(const struct option_row *row, const char *word, int64_t *number)
{
    uint64_t value = 0;
    if (row->kind == MS && strcmp(word, "never") == 0 && strstr(row->value, "never") != NULL) {
        *number = OPTIONS_NEVER;
        return true;
    }
    if (!base_number(word, &value) || (row->kind == CODE && (value < 200 || value > 599))) {
        return false;
    }
    *number = (int64_t)value;
    return true;
}

static void set_text(char **text, const char *word)
{
    free(*text);
    *text = base_copy(word);
}

static void add_item(struct option_list *list, const char *word)
{
    list->items = base_grow(list->items, list->count + 1, sizeof *list->items);
    list->items[list->count++] = base_copy(word);
}

static bool set_value(struct options *options, const struct option_row *row, char **words)
{
    void *member = (char *)options + row->offset;
    switch (row->kind) {
    case FLAG:
        *(bool *)member = true;
        return true;
    case NUMBER:
    case MS:
    case CODE:
        return read_number(row, words[0], member);
    case TEXT:
        set_text(member, words[0]);
        return true;
    case LIST:
        add_item(member, words[0]);
        return true;
    case CHOICE:
        return read_choice(row->value, words[0], member);
    case PAIR:
        set_text(&options->tls_cert, words[0]);
        set_text(&options->tls_key, words[1]);
        return true;
    }
    return false;
}

static int read_users(struct options *options)
{
    char *text = base_read_file(options->users_file, NULL);
    if (text == NULL) {
        fprintf(stderr, "chorus-double: %s: %s\n", options->users_file, strerror(errno));
        return 64;
    }
    char *rest = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        if (line[0] != '#') {
            add_item(&options->users, line);
        }
    }
    free(text);
    return -1;
}

static bool is_valid_meaning(const struct options *options)
{
    uint64_t number = 0;
    bool date_fits = strcmp(options->date_time, "upload") == 0 ||
                     strcmp(options->date_time, "unknown") == 0 ||
                     base_number(options->date_time, &number);
    bool private_fits = options->private_rows == NULL ||
                        strcmp(options->private_rows, "all") == 0 ||
                        (base_number(options->private_rows, &number) && number > 0);
    return date_fits && private_fits && options->port < 65536;
}

static void set_defaults(struct options *options)
{
    *options = (struct options){0};
    options->me = base_copy("integration@example.com");
    options->bad_form = 400;
    options->unknown_user = 400;
    options->delete_unknown = 202;
    options->check_then_store_ms = -1;
    options->date_time = base_copy("upload");
    options->processed_state = base_copy("done");
}

int options_read(struct options *options, int count, char **words)
{
    set_defaults(options);
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--help") == 0) {
            print_help();
            return 0;
        }
        const struct option_row *row = find_row(words[i]);
        int values = row == NULL || row->kind == FLAG ? 0 : row->kind == PAIR ? 2 : 1;
        if (row == NULL || i + values >= count || !set_value(options, row, words + i + 1)) {
            fprintf(stderr, "chorus-double: %s%s%s: see --help\n", words[i],
                    values > 0 && i + 1 < count ? " " : "",
                    values > 0 && i + 1 < count ? words[i + 1] : "");
            return 64;
        }
        i += values;
    }
    if (!is_valid_meaning(options) || (options->keep_media && options->dir == NULL)) {
        fputs("chorus-double: a bad --port, --date-time or --private, or --keep-media without "
              "--dir: see --help\n",
              stderr);
        return 64;
    }
    return options->users_file != NULL ? read_users(options) : -1;
}

static void free_list(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
}

void options_free(struct options *options)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *member = (char *)options + rows[i].offset;
        if (rows[i].name != NULL && rows[i].kind == TEXT) {
            free(*(char **)member);
        } else if (rows[i].name != NULL && rows[i].kind == LIST) {
            free_list(member);
        }
    }
    free(options->tls_cert);
    free(options->tls_key);
}

bool options_has(const struct option_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcasecmp(list->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}
