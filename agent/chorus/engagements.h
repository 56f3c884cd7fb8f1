/*
 * What Chorus shows of engagements: targets to ask for them, and the answers read. The published
 * schema is in the API document (listEngagements, getConversation); anything missing or of another
 * type reads as absent. Pure.
 */
#ifndef CHORUS_CHORUS_ENGAGEMENTS_H
#define CHORUS_CHORUS_ENGAGEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENGAGEMENTS_A_BATCH = 100 }; /* ids in one request, and rows on one page (published) */

struct engagement {
    char *id, *subject, *user_email, *processing_state; /* "" where absent */
    int64_t date_time_ms;                               /* 0: absent */
};

struct engagement_page {
    struct engagement *rows;
    size_t count;
    char *continuation_key; /* NULL on the last page */
};

/* 0, or -1: not such an answer. Clear in any case. */
int engagements_read(const char *body, struct engagement_page *page);
void engagements_clear(struct engagement_page *page);

/* Whether Chorus has finished with it. */
bool engagement_is_processed(const struct engagement *row);

/* "/v3/engagements?engagement_id=a,b": new string. */
char *engagements_target_by_id(char *const *ids, size_t count);

/* "/v3/engagements?min_date=...&max_date=..." (ISO 8601; 0: no such limit), and the page after
 * `continuation_key` (NULL: the first); new string. */
char *engagements_target_by_time(int64_t from_ms, int64_t to_ms, const char *continuation_key);

/* "/api/v1/conversations/ID?fields=meeting.id,..."; new string. */
char *conversation_target(const char *id);

/* "/v3/engagements/ID", to delete it; "/api/v1/conversations/ID?force_delete=true", to delete also
 * the playlist moments cut from it; new strings. */
char *engagement_delete_target(const char *id);
char *conversation_delete_target(const char *id);

/* meeting.id of a conversation document, new string; NULL: it has none. */
char *conversation_meeting_id(const char *body);

/* A value as it may stand in a query; new string. */
char *engagements_encode(const char *value);

#endif
