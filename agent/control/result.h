/*
 * The result of a control file (interface.md, "Control files"): written row by row, so that memory
 * stays flat, under a name of its own, and put into its place whole or not at all. Blocks; on the
 * pool.
 */
#ifndef CHORUS_CONTROL_RESULT_H
#define CHORUS_CONTROL_RESULT_H

#include "agent/ledger/deletions.h"

struct result;

struct result_head {
    const char *request;               /* name of the control file, bytes */
    const char *reason, *requested_by; /* NULL: not given */
    const char *refusal;               /* why it was refused whole; NULL: it was not */
    bool dry_run;
    int64_t taken_ms;
};

/* Begins `folder`/.`name`.new, anew if a crash left one there. NULL: errno says why. */
struct result *result_begin(const char *folder, const char *name, const struct result_head *head);
void result_add(struct result *result, const struct ledger_finding *finding);
/* Ends it, makes it durable, and renames it to `name`; frees it. 0; -EEXIST: something else has
 * that name; or another negative errno: nothing stands there. */
int result_end(struct result *result);
/* Gives up: nothing is left of it. */
void result_drop(struct result *result);

/* "x.delete" -> "x.result.json"; new string. */
char *result_name(const char *control_file);
/* The name that `control_file` can get in `folder`, where neither it nor its result is taken:
 * "x.delete", "x-2.delete", ...; new string. */
char *result_free_name(const char *folder, const char *control_file);

#endif
