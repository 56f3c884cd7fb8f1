/* What folder.c and intake.c share. */
#ifndef CHORUS_SERVICE_FOLDER_H
#define CHORUS_SERVICE_FOLDER_H

#include "agent/service/internal.h"

/* The settings of its watch; NULL: a reload took them away. */
const struct watch_config *folder_settings(const struct folder *folder);

/* A journal step that points to the folder (counted in `steps`) is over: it may have freed itself
 * on return. */
void folder_step_over(struct folder *folder);
/* A look of a bulk run closes once all that it found is dealt with. */
void folder_close_if_done(struct folder *folder);
/* Frees it if it is closed and no step points to it. */
void folder_free_if_over(struct folder *folder);
/* Its root is the right one: a file that the ledger knows was met in it. */
void folder_trust_root(struct folder *folder);

/* intake.c: callbacks of the watcher. */
void intake_judge(void *ctx, struct watch_entry *entries, size_t count);
void intake_finished(void *ctx, const struct watch_finding *finding);
void intake_fingerprinted(void *ctx, const struct watch_fingerprint *fingerprint);
void intake_gone(void *ctx, const char *path);
void intake_scanned(void *ctx, const struct watch_scan *scan);

#endif
