#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "script.h"
#include "script_words.h"

/* ---- the head: subject, when, conditions ---- */

static bool is_word(const struct script_reading *r, size_t i, const char *text)
{
    return i < r->count && !r->words[i].quoted && strcmp(r->words[i].text, text) == 0;
}

static bool is_method(const char *text)
{
    return text[0] != '\0' && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(text);
}

static bool read_subject(struct script_reading *r, size_t *i)
{
    if (*i >= r->colon || !is_method(r->words[*i].text)) {
        return true;
    }
    if (*i + 1 >= r->colon || r->words[*i + 1].text[0] != '/') {
        return script_fail(r, "a method wants a path", r->words[*i].text);
    }
    free(r->method);
    free(r->path);
    r->method = base_copy(r->words[*i].text);
    r->path = base_copy(r->words[*i + 1].text);
    *i += 2;
    return true;
}

static bool read_range(const char *text, uint64_t *first, uint64_t *last)
{
    char *copy = base_copy(text);
    char *dash = strchr(copy, '-');
    bool fits = false;
    if (dash == NULL) {
        fits = base_number(copy, first);
        *last = *first;
    } else {
        *dash = '\0';
        *last = UINT64_MAX;
        fits = base_number(copy, first) && (dash[1] == '\0' || base_number(dash + 1, last));
    }
    free(copy);
    return fits && *first > 0 && *first <= *last;
}

static bool read_chance(const char *text, double *chance)
{
    char *end = NULL;
    errno = 0;
    double percent = strtod(text, &end);
    *chance = percent / 100;
    return errno == 0 && end != text && strcmp(end, "%") == 0 && percent >= 0 && percent <= 100;
}

static bool read_random(struct script_reading *r, struct script_rule *rule, size_t *i)
{
    rule->when = WHEN_RANDOM;
    rule->random = 1;
    if (*i + 1 >= r->colon || !read_chance(r->words[*i + 1].text, &rule->chance)) {
        return script_fail(r, "random wants a share such as 20%", NULL);
    }
    *i += 2;
    if (*i < r->colon && is_word(r, *i, "seed")) {
        if (*i + 1 >= r->colon || !base_number(r->words[*i + 1].text, &rule->random)) {
            return script_fail(r, "seed wants a number", NULL);
        }
        *i += 2;
    }
    return true;
}

static bool read_when(struct script_reading *r, struct script_rule *rule, size_t *i)
{
    if (*i >= r->colon) {
        return true;
    }
    const char *text = r->words[*i].text;
    if (is_word(r, *i, "*")) {
        *i += 1;
    } else if (isdigit((unsigned char)text[0])) {
        rule->when = WHEN_RANGE;
        if (!read_range(text, &rule->first, &rule->last)) {
            return script_fail(r, "no such turn (N, N-M or N-, from 1)", text);
        }
        *i += 1;
    } else if (is_word(r, *i, "every")) {
        rule->when = WHEN_EVERY;
        if (*i + 1 >= r->colon || !base_number(r->words[*i + 1].text, &rule->first) ||
            rule->first == 0) {
            return script_fail(r, "every wants a number", NULL);
        }
        *i += 2;
    } else if (is_word(r, *i, "random")) {
        return read_random(r, rule, i);
    }
    return true;
}

static bool read_conditions(struct script_reading *r, struct script_rule *rule, size_t i)
{
    for (; i < r->colon; i += 2) {
        const char *word = r->words[i].text;
        char **glob = strcmp(word, "name") == 0      ? &rule->name
                      : strcmp(word, "user") == 0    ? &rule->user
                      : strcmp(word, "meeting") == 0 ? &rule->meeting
                      : strcmp(word, "sha") == 0     ? &rule->sha
                                                     : NULL;
        if (glob == NULL) {
            return script_fail(r, "before the colon stand METHOD PATH, WHEN, and conditions, not",
                               word);
        }
        if (i + 1 >= r->colon || *glob != NULL) {
            return script_fail(r, "a condition wants one pattern", word);
        }
        *glob = base_copy(r->words[i + 1].text);
    }
    return true;
}

static bool read_head(struct script_reading *r, struct script_rule *rule)
{
    size_t i = 0;
    if (r->colon == 0) {
        return script_fail(r, "nothing stands before the colon", NULL);
    }
    if (!read_subject(r, &i)) {
        return false;
    }
    rule->method = base_copy(r->method);
    rule->path = base_copy(r->path);
    return read_when(r, rule, &i) && read_conditions(r, rule, i);
}

/* ---- the tail: the action ---- */

/* The text of a word, or of the file that @FILE names. The caller frees. */
static char *take_text(struct script_reading *r, size_t i, size_t *size)
{
    const struct script_word *word = &r->words[i];
    if (word->quoted || word->text[0] != '@') {
        *size = word->size;
        return base_copy_bytes(word->text, word->size);
    }
    char *bytes = base_read_file(word->text + 1, size);
    if (bytes == NULL) {
        script_fail(r, strerror(errno), word->text + 1);
    }
    return bytes;
}

static bool set_reply(struct script_reading *r, struct script_action *action,
                      enum script_reply reply)
{
    if (action->reply != REPLY_OWN) {
        return script_fail(r, "a rule has one reply", NULL);
    }
    action->reply = reply;
    return true;
}

static bool add_header(struct script_reading *r, struct script_action *action, const char *name,
                       const char *value)
{
    if (action->header_count == SCRIPT_HEADERS) {
        return script_fail(r, "too many headers", NULL);
    }
    struct script_header *header = &action->headers[action->header_count++];
    header->name = base_copy(name);
    header->value = base_copy(value);
    return true;
}

static bool add_header_line(struct script_reading *r, struct script_action *action,
                            const char *line)
{
    const char *colon = strchr(line, ':');
    if (colon == NULL || colon == line) {
        return script_fail(r, "header wants 'NAME: VALUE'", line);
    }
    char *name = base_copy_bytes(line, (size_t)(colon - line));
    bool added = add_header(r, action, name, colon + 1 + strspn(colon + 1, " "));
    free(name);
    return added;
}

static bool add_retry_after(struct script_reading *r, struct script_action *action,
                            const char *text)
{
    uint64_t seconds = 0;
    if (strncmp(text, "date+", 5) == 0 && base_number(text + 5, &seconds)) {
        action->retry_after_date_s = (int64_t)seconds;
        return true;
    }
    return add_header(r, action, "Retry-After", text);
}

static bool set_status(struct script_reading *r, struct script_action *action, uint64_t code)
{
    if (code < 200 || code > 599) {
        return script_fail(r, "a status is between 200 and 599", NULL);
    }
    action->status = (unsigned)code;
    return set_reply(r, action, REPLY_STATUS);
}

static bool set_raw(struct script_reading *r, struct script_action *action, size_t i)
{
    action->body = take_text(r, i, &action->body_size);
    return action->body != NULL && set_reply(r, action, REPLY_RAW);
}

static bool set_garbage(struct script_reading *r, struct script_action *action)
{
    static const char noise[] =
        "\x16\x03\x7f?? \x01\x02 not the protocol you want \xff\xfe\r\n\r\n";
    action->body = base_copy_bytes(noise, sizeof noise - 1);
    action->body_size = sizeof noise - 1;
    return set_reply(r, action, REPLY_RAW);
}

/* Actions of one word. `*known` tells whether this is one. */
static bool read_plain(struct script_reading *r, struct script_rule *rule, const char *word,
                       bool *known)
{
    struct script_action *action = &rule->action;
    *known = true;
    if (strcmp(word, "pass") == 0 || strcmp(word, "store") == 0 || strcmp(word, "do") == 0) {
        action->does = true;
        return true;
    }
    if (strcmp(word, "reset") == 0) {
        return set_reply(r, action, REPLY_RESET);
    }
    if (strcmp(word, "close") == 0 || strcmp(word, "no-answer") == 0) {
        return set_reply(r, action, REPLY_CLOSE);
    }
    if (strcmp(word, "hang") == 0) {
        return set_reply(r, action, REPLY_HANG);
    }
    if (strcmp(word, "garbage") == 0) {
        return set_garbage(r, action);
    }
    if (strcmp(word, "before-body") == 0 || strcmp(word, "after-body") == 0) {
        action->place = word[0] == 'b' ? PLACE_BEFORE_BODY : PLACE_AFTER_BODY;
        return true;
    }
    *known = false;
    return true;
}

/* Actions with a number behind them. */
static bool read_numbered(struct script_reading *r, struct script_rule *rule, size_t i, bool *known)
{
    struct script_action *action = &rule->action;
    const char *word = r->words[i].text;
    static const char *const names[] = {"status", "in-body",     "slow",     "slow-read", "delay",
                                        "count",  "store-after", "do-after", NULL};
    *known = false;
    for (size_t k = 0; names[k] != NULL; k++) {
        *known = *known || strcmp(word, names[k]) == 0;
    }
    if (!*known) {
        return true;
    }
    uint64_t number = 0;
    if (i + 1 >= r->count || !base_number(r->words[i + 1].text, &number)) {
        return script_fail(r, "a number is wanted behind", word);
    }
    if (strcmp(word, "status") == 0) {
        return set_status(r, action, number);
    }
    if (strcmp(word, "delay") == 0) {
        action->delay_ms = number;
        return true;
    }
    if (strstr(word, "-after") != NULL) {
        action->does = true;
        action->does_after_ms = (int64_t)number;
        return true;
    }
    if (number == 0) {
        return script_fail(r, "zero makes no sense behind", word);
    }
    if (strcmp(word, "in-body") == 0) {
        action->place = PLACE_IN_BODY;
        action->in_body = number;
    } else if (strcmp(word, "slow") == 0) {
        action->slow = number;
    } else if (strcmp(word, "slow-read") == 0) {
        action->slow_read = number;
    } else {
        rule->limit = number;
    }
    return true;
}

/* Actions with a text behind them. */
static bool read_worded(struct script_reading *r, struct script_rule *rule, size_t i)
{
    struct script_action *action = &rule->action;
    const char *word = r->words[i].text;
    if (i + 1 >= r->count) {
        return script_fail(r, "unknown, or without what belongs behind it", word);
    }
    const char *text = r->words[i + 1].text;
    if (strcmp(word, "raw") == 0) {
        return set_raw(r, action, i + 1);
    }
    if (strcmp(word, "body") == 0) {
        free(action->body);
        action->body = take_text(r, i + 1, &action->body_size);
        return action->body != NULL;
    }
    if (strcmp(word, "type") == 0) {
        free(action->type);
        action->type = base_copy(text);
        return true;
    }
    if (strcmp(word, "retry-after") == 0) {
        return add_retry_after(r, action, text);
    }
    if (strcmp(word, "location") == 0) {
        return add_header(r, action, "Location", text);
    }
    if (strcmp(word, "header") == 0) {
        return add_header_line(r, action, text);
    }
    return script_fail(r, "unknown action", word);
}

static bool read_tail(struct script_reading *r, struct script_rule *rule)
{
    size_t i = r->colon;
    while (i < r->count) {
        bool known = false;
        if (!read_plain(r, rule, r->words[i].text, &known)) {
            return false;
        }
        if (known) {
            i += 1;
            continue;
        }
        if (!read_numbered(r, rule, i, &known) || (!known && !read_worded(r, rule, i))) {
            return false;
        }
        i += 2;
    }
    return true;
}

/* What single words cannot tell: whether they make sense together. */
static bool check_rule(struct script_reading *r, struct script_rule *rule)
{
    struct script_action *action = &rule->action;
    bool on_form =
        rule->name != NULL || rule->user != NULL || rule->meeting != NULL || rule->sha != NULL;
    bool answers = action->header_count > 0 || action->retry_after_date_s >= 0 ||
                   action->type != NULL || (action->body != NULL && action->reply != REPLY_RAW);
    if (r->colon == r->count) {
        return script_fail(r, "no action behind the colon", NULL);
    }
    if (answers && action->reply != REPLY_STATUS) {
        return script_fail(r, "header, location, retry-after, body and type belong to a status",
                           NULL);
    }
    if (action->place != PLACE_AFTER_BODY && action->reply == REPLY_OWN) {
        return script_fail(
            r, "before-body and in-body want a reply: status, reset, close, hang, raw", NULL);
    }
    if (action->place != PLACE_AFTER_BODY && (on_form || action->does)) {
        return script_fail(r, "what needs the form cannot come before the body is whole", NULL);
    }
    if (action->place == PLACE_IN_BODY && action->reply == REPLY_STATUS) {
        return script_fail(r, "a status comes before-body or after-body; raw can come in-body",
                           NULL);
    }
    if (on_form && action->slow_read > 0) {
        return script_fail(r, "slow-read cannot wait for a condition on the form", NULL);
    }
    if (action->does_after_ms >= 0 && action->reply == REPLY_OWN) {
        return script_fail(r, "store-after wants a reply: its own is known only once it is stored",
                           NULL);
    }
    if (action->reply == REPLY_OWN) {
        action->does = true;
    }
    return true;
}

static bool read_line(struct script_reading *r, struct script *script, const char *line)
{
    const char *start = line + strspn(line, " \t\r");
    if (*start == '\0' || *start == '#') {
        return true;
    }
    if (!script_words_read(r, start)) {
        return false;
    }
    if (!r->has_colon) {
        return script_fail(r, "no colon: [METHOD PATH] [WHEN] [CONDITION...]: ACTION...", NULL);
    }
    struct script_rule *rule = script_add(script);
    rule->line = r->line;
    return read_head(r, rule) && read_tail(r, rule) && check_rule(r, rule);
}

struct script *script_parse(const char *file, const char *text, char **fault)
{
    struct script_reading r = {
        .file = file, .method = base_copy("POST"), .path = base_copy("/v3/upload")};
    struct script *script = script_new();
    char *copy = base_copy(text);
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        r.line++;
        bool read = read_line(&r, script, line);
        script_words_forget(&r);
        if (!read) {
            break;
        }
    }
    free(copy);
    free(r.method);
    free(r.path);
    if (r.fault != NULL) {
        *fault = r.fault;
        script_release(script);
        return NULL;
    }
    return script;
}
