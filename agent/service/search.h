/*
 * Searching Chorus for an engagement that was uploaded under an id we do not know: those of a time
 * window, newest first, with this owner and this name; then the meeting id of each that fits. Only
 * a positive read counts: private recordings are never returned, lists lag, so absence proves
 * nothing.
 *
 * Thread: the loop's. Callbacks never run inside search_begin, but may be the last act of
 * search_go_on.
 */
#ifndef CHORUS_SERVICE_SEARCH_H
#define CHORUS_SERVICE_SEARCH_H

#include <stdint.h>

struct uploader;
struct search;

struct search_for {
    const char *owner, *name;
    const char *meeting_id; /* NULL: any */
    int64_t from_ms, to_ms; /* when it was sent, first and last; clocks may differ by minutes */
};

enum search_end {
    SEARCH_WHOLE,   /* all that Chorus shows of that time was seen */
    SEARCH_LIMITED, /* there was more than any window of one owner's calls holds */
    SEARCH_CUT_OFF, /* Chorus gave no answer to a question, or none that can be read */
};

struct search_hooks {
    /* One that fits; then it waits for search_go_on. Valid until then. */
    void (*found)(void *ctx, const char *engagement_id);
    void (*ended)(void *ctx, enum search_end how);
    void *ctx;
};

/* What is looked for is copied. NULL: nothing can be asked now. */
struct search *search_begin(struct uploader *uploader, const struct search_for *what,
                            const struct search_hooks *hooks);
void search_go_on(struct search *search);
/* Asks nothing more: `ended` comes soon, with SEARCH_CUT_OFF, or inside search_go_on if it waits
 * for that. */
void search_abort(struct search *search);
/* In or after `found` or `ended` only; in `found`, nothing more is asked. */
void search_free(struct search *search);

#endif
