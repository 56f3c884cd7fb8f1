#include "script_words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

bool script_fail(struct script_reading *r, const char *what, const char *word)
{
    if (r->fault == NULL) {
        r->fault = base_text("%s:%zu: %s%s%s", r->file, r->line, what, word != NULL ? ": " : "",
                             word != NULL ? word : "");
    }
    return false;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    int lower = tolower((unsigned char)digit);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Reads the escape behind a backslash; returns how many characters it has, 0 for a bad one. */
static size_t read_escape(const char *at, char *byte)
{
    static const char names[] = "nrt\\'";
    static const char bytes[] = "\n\r\t\\'";
    const char *found = at[0] != '\0' ? strchr(names, at[0]) : NULL;
    if (found != NULL) {
        *byte = bytes[found - names];
        return 1;
    }
    if (at[0] == 'x' && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0) {
        *byte = (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
        return 3;
    }
    return 0;
}

/* Reads from behind the opening quote; returns where the word goes on, NULL for a bad quote. */
static const char *read_quoted(struct script_reading *r, const char *at, struct script_word *word)
{
    while (*at != '\'') {
        char byte = *at;
        size_t used = 1;
        if (byte == '\\') {
            used = 1 + read_escape(at + 1, &byte);
        }
        if (*at == '\0' || (*at == '\\' && used == 1)) {
            script_fail(r, *at == '\0' ? "a quote is not closed" : "an unknown escape", NULL);
            return NULL;
        }
        word->text[word->size++] = byte;
        at += used;
    }
    word->quoted = true;
    return at + 1;
}

/* Reads one word; a colon that ends it, the first such on the line, ends the rule's head. */
static const char *read_word(struct script_reading *r, const char *at)
{
    if (r->count == SCRIPT_WORDS) {
        script_fail(r, "too many words", NULL);
        return NULL;
    }
    struct script_word *word = &r->words[r->count++];
    *word = (struct script_word){.text = base_need(strlen(at) + 1)};
    while (*at != '\0' && !isspace((unsigned char)*at)) {
        bool ends = at[1] == '\0' || isspace((unsigned char)at[1]);
        if (*at == ':' && ends && !r->has_colon) {
            r->has_colon = true;
            bool empty = word->size == 0 && !word->quoted;
            r->colon = empty ? r->count - 1 : r->count;
            if (empty) {
                free(r->words[--r->count].text);
            }
            return at + 1;
        }
        if (*at == '\'') {
            at = read_quoted(r, at + 1, word);
            if (at == NULL) {
                return NULL;
            }
            continue;
        }
        word->text[word->size++] = *at++;
    }
    return at;
}

bool script_words_read(struct script_reading *r, const char *line)
{
    const char *at = line;
    for (;;) {
        at += strspn(at, " \t\r");
        if (*at == '\0') {
            return true;
        }
        at = read_word(r, at);
        if (at == NULL) {
            return false;
        }
    }
}

void script_words_forget(struct script_reading *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->words[i].text);
    }
    r->count = 0;
    r->colon = 0;
    r->has_colon = false;
}
