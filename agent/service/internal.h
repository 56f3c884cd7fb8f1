/* What the files of the service share. */
#ifndef CHORUS_SERVICE_INTERNAL_H
#define CHORUS_SERVICE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/config/config.h"
#include "agent/ledger/ledger.h"
#include "agent/plan/erasure.h"
#include "agent/plan/plan.h"
#include "agent/service/journal.h"
#include "agent/service/quiet.h"
#include "agent/service/service.h"
#include "agent/service/throughput.h"
#include "uploader/uploader.h"
#include "watcher/watcher.h"

struct bulk;
struct transfer;
struct side_files;
struct requests;
struct retirements;
struct readback;
struct lookup;
struct sidecars;
struct owners;
struct users;
struct control;
struct erasures;
struct deletions;
struct removals;
struct forgetting;
struct heartbeat;
struct uplink;
struct history;
struct pausing;
struct turns;

enum { MOST_ABOVE = 64 };

/* One folder that is looked at: a watch of the configuration, or a single look of a bulk run. */
struct folder {
    struct service *service;
    struct folder *next;
    struct watch *watch;
    char *watch_name;
    char *root;         /* what the watcher looks at, absolute */
    size_t root_length; /* of the path that rules are applied below: the watch's own, where root is
                           below it */
    int64_t ledger_watch;
    int64_t first_start_ms;
    bool first_scan;        /* what stands there has still to be judged for `since: start` */
    bool first_start_known; /* from before: judge by the last change, not by presence */
    struct bulk *bulk;      /* NULL: a watch */
    bool told;              /* its watcher has said whether it is online */
    bool found;             /* what it said */
    bool hangs;             /* ... but work on its files does not come back */
    bool online, events;    /* found, and nothing hangs */
    char *reason, *said; /* why it is not online, or less than it could be; as the watcher said */
    struct root_identity root_was;
    /* Whether its root is the folder it was, so that absence means something: an empty mount point
     * is no empty folder. */
    bool trusted, trust_recorded;
    int64_t lost_ms; /* when an earlier ledger was found to be lost; 0: never */
    /* For quiet.c: of the last whole look, and since it last judged. */
    uint64_t candidates, passed_over;
    uint64_t appeared, accepted; /* finished files that are new; those that became recordings */
    int64_t judged_ms;           /* steady */
    struct quiet_alarm unaccepted;
    int64_t left_alone; /* skipped "before the first start" in this run */
    uint8_t *seen;      /* by path row: met by the scan that is under way */
    size_t seen_room;
    unsigned steps; /* journal steps that point here */
    bool scanned, closing, closed;
};

/* Everything here belongs to the loop's thread. */
struct service {
    uv_loop_t loop;
    const struct service_options *options;
    struct config *config;
    struct table_set *tables;
    uint64_t digest; /* of configuration and tables: decides what is resolved anew */
    char host[64];
    int lock_fd;

    struct journal *journal;
    struct plan *plan;
    struct plan_effects effects; /* of the step under way */
    struct uploader *uploader;
    struct folder *folders;
    struct transfer *transfers;
    size_t transfer_count;
    struct question *probe;
    struct bulk *bulks;
    struct side_files *side_files;
    struct requests *requests;
    struct retirements *retirements;
    struct readback *readback;
    struct lookup *lookups;
    struct sidecars *sidecars;
    struct owners *owners;
    struct users *users;     /* of Chorus, with chorus.verify_owners; NULL: not known yet */
    struct control *control; /* NULL: a bulk run, or it has ended */
    struct erasures *erasures;
    struct deletions *deletions;
    struct removals *removals;
    struct forgetting *forgetting;
    struct pausing *pausing;
    struct uplink *uplink;
    bool filing;                 /* tombstones are on their way into the file */
    struct heartbeat *heartbeat; /* NULL: `once` */
    struct quiet *quiet;         /* likewise */
    struct history *history;     /* likewise */

    /* state_dir, control_dir and all above them: none of these may be watched */
    struct root_identity not_watched[2 * MOST_ABOVE];
    size_t not_watched_count;
    bool reloaded; /* it has run under another configuration */

    struct turns *turns;          /* of all watches */
    struct file_lane *file_lanes; /* see file_work.h */
    uv_timer_t patience;

    uv_timer_t wake, status_timer, bulk_timer, end_timer;
    uv_signal_t on_term, on_int, on_hup;
    char *token; /* the one in force, to tell a change; NULL: none */

    int64_t started_ms;
    char *status_path;
    struct throughput throughput;
    uint64_t bytes_sent,
        recordings_sent; /* by transfers that are over; recordings: accepted ones */
    char *last_error;
    int64_t last_error_ms;
    bool status_dirty;
    bool walking_held;
    bool stopping, ending;
    int64_t stop_at; /* of the loop's clock */
    int exit_code;
    int open_parts; /* that still have to close before the loop ends */
};

/* --- folder.c: intake --- */

/* Starts to look at a folder: a watch of the configuration. */
void folder_open_watch(struct service *service, const struct watch_config *watch);
/* A single look for a bulk run, at `root` (absolute; a folder, or with `only` one file in it). */
void folder_open_look(struct service *service, const struct watch_config *watch, struct bulk *bulk,
                      const char *root, const char *only);
/* Takes over changed settings of its watch. */
void folder_configure(struct folder *folder, const struct watch_config *watch);
/* Stops looking; the folder frees itself. */
void folder_close(struct folder *folder);
/* The watch of the configuration with this ledger id, or NULL. */
struct folder *folder_of_ledger_watch(struct service *service, int64_t watch);
/* Whether what was found at its root is the very folder that was scanned: only then does absence of
 * a file mean anything. */
bool folder_is(const struct folder *folder, const struct root_identity *found);
/* Work on its files hangs, or has come back (see file_work.h). */
void folder_hangs(struct folder *folder, bool hangs);

/* --- resolve.c --- */

/* Applies the rules of a watch to a file. `owner` as in rules_resolve. Clear with resolution_clear.
 */
void service_resolve(struct service *service, const struct watch_config *watch, const char *path,
                     size_t root_length, const struct file_identity *identity,
                     const uint8_t *sha256, int64_t duration_ms, const char *owner,
                     const struct sidecar *sidecar, struct resolution *resolution);
/* A recording of the ledger as it is found at one of its paths. */
struct recording_at {
    int64_t recording;
    const char *path;
    size_t root_length;
    const struct file_identity *identity;
    const uint8_t *sha256;
    int64_t duration_ms; /* 0: not known */
};
/* In a transaction: the rules, and what else decides (its sidecar), applied to it, and the outcome
 * put into the ledger under the present digest. `resolution` is to be cleared. Whether it is not to
 * be sent yet. */
bool service_resolve_recording(struct service *service, struct ledger *ledger,
                               const struct watch_config *watch, const struct recording_at *at,
                               int64_t path_id, const char *owner, struct resolution *resolution);
/* In a transaction: a recording whose form may still change, resolved anew. */
void service_resolve_held(struct service *service, struct ledger *ledger, int64_t recording);
/* The settings of a watch of the ledger, looked at now or not; NULL: it is not in the configuration
 * any more. */
const struct watch_config *service_watch(const struct service *service, struct ledger *ledger,
                                         int64_t watch);
/* Earliest upload (wall ms) that the watch's delay allows; 0: at once. */
int64_t service_not_before(const struct watch_config *watch, const struct file_identity *identity);
/* Computes `digest` anew and, if it changed, resolves what is held under another one. */
void service_redigest(struct service *service);

/* --- dispatch.c: what the plan wants --- */

void service_plan(struct service *service, const struct plan_event *event);
void service_plan_simple(struct service *service, enum plan_event_kind kind);
/* PLAN_START, with what the ledger knows of earlier runs. */
void service_start_plan(struct service *service);
/* After each commit: tells the plan what became ready. */
void service_feed_plan(struct service *service);
void service_read_token(struct service *service);
/* Calls `each` with every transfer in flight. */
void service_each_transfer(struct service *service,
                           void (*each)(void *ctx, const char *path, uint64_t sent, uint64_t size),
                           void *ctx);
void service_abort_transfers(struct service *service);

/* --- bulk.c --- */

/* The last call has `ended`; its `progress` is NULL if the service stopped before the run was over.
 */
typedef void (*bulk_report)(void *ctx, const struct bulk_progress *progress, bool ended);

/* Begins a bulk run. NULL and *problem (new string): a watch or path that does not fit. */
struct bulk *bulk_start(struct service *service, const struct bulk_request *request,
                        bulk_report report, void *ctx, char **problem);
int64_t bulk_number(const struct bulk *bulk);
const char *bulk_owner(const struct bulk *bulk);
void bulk_met_known(struct bulk *bulk);
/* One look of the run, and all that it found, is dealt with. */
void bulk_look_over(struct bulk *bulk);
/* Something was committed: a run of which nothing is on its way any more ends at once. */
void bulk_may_be_over(struct service *service);
/* Ends all, as they stand. Each frees itself once its looks are over. */
void bulk_stop_all(struct service *service);

/* --- intake.c --- */

/* The log's line of a recording that is gone. */
void intake_tell_gone(const char *path);

/* --- status_file.c --- */

/* Something moved: status.json is written within a second. */
void service_moved(struct service *service);
void service_write_status(struct service *service, bool running);
void service_note_error(struct service *service, const char *path, const char *reason);

/* --- side_files.c: token and tables --- */

struct side_files *side_files_new(struct service *service);
/* Looks at the files that the present configuration names. */
void side_files_configure(struct side_files *files);
void side_files_close(struct side_files *files);

/* --- sidecars.c: what stands beside recordings --- */

struct sidecars *sidecars_new(struct service *service);
/* Looks at this file (absolute) of a watch, and once it has settled takes what stands in it over
 * for all recordings that expect it. A file that is not there is no trouble. */
void sidecars_look(struct sidecars *sidecars, const struct watch_config *watch, const char *path);
/* Begins nothing more. */
void sidecars_stop(struct sidecars *sidecars);
bool sidecars_are_idle(const struct sidecars *sidecars);
void sidecars_close(struct sidecars *sidecars);

/* --- owners.c: the users of Chorus --- */

struct owners *owners_new(struct service *service);
/* As the present configuration wants it. */
void owners_configure(struct owners *owners);
void owners_stop(struct owners *owners);
bool owners_are_idle(const struct owners *owners);
void owners_close(struct owners *owners);

/* --- yielding.c: scans and checksums yield to the calls --- */

void yielding_begin(struct service *service);
/* max_load may have changed. */
void yielding_configure(struct service *service);

/* --- pausing.c: a pause that a person asked for --- */

struct pausing *pausing_new(struct service *service);
/* What the ledger says of it is in force. */
void pausing_look(struct pausing *pausing);
/* A person's pause comes before the timetable's, which may have changed. */
void pausing_tell_plan(struct pausing *pausing);
bool pausing_is_on(const struct pausing *pausing);
void pausing_close(struct pausing *pausing);

/* --- requests.c: what `once`, `retry`, `pause` and `resume` hand over --- */

struct requests *requests_new(struct service *service);
void requests_close(struct requests *requests);

/* --- retirement.c: after_upload --- */

struct retirements *retirements_new(struct service *service);
/* In a transaction: `recording` is uploaded, or has one path more; its paths become due as their
 * watches say. */
void retirement_decide(struct service *service, struct ledger *ledger, int64_t recording);
void retirements_look_soon(struct service *service);
/* Begins nothing more. */
void retirements_stop(struct retirements *retirements);
bool retirements_are_idle(const struct retirements *retirements);
void retirements_close(struct retirements *retirements);

/* --- readback.c: whether Chorus has processed what it accepted --- */

struct readback *readback_new(struct service *service);
/* Something may be due in so long. */
void readback_look_within(struct readback *readback, int64_t ms);
void readback_stop(struct readback *readback);
bool readback_is_idle(const struct readback *readback);
void readback_close(struct readback *readback);

/* --- lookup.c: whether an uncertain recording arrived --- */

/* Ends with one PLAN_LOOKED_UP. */
void lookup_begin(struct service *service, int64_t recording);
void lookups_abort(struct service *service);

/* --- control.c: control files --- */

struct control *control_new(struct service *service);
void control_configure(struct control *control);
void control_close(struct control *control);

/* --- deletions.c: what becomes of a control file --- */

struct control_file; /* agent/control/inbox.h */
/* Takes over a control file that has settled: it may be carried out, or its `refusal` says why it
 * is refused whole. Its lines are read from its descriptor in slices (request_reader), so that
 * memory stays flat; then it is freed (control_file_free), and the next one comes. Never called
 * while the service is stopping. */
void deletions_take(struct service *service, struct control_file *file);
struct deletions *deletions_new(struct service *service);
/* Something may have moved on. */
void deletions_look_soon(struct service *service);
void deletions_stop(struct deletions *deletions);
bool deletions_are_idle(const struct deletions *deletions);
void deletions_close(struct deletions *deletions);

/* --- erasures.c: what Chorus is asked to delete, and the proofs of it --- */

struct erasures *erasures_new(struct service *service);
void erasures_look_soon(struct service *service);
void erasures_stop(struct erasures *erasures);
bool erasures_are_idle(const struct erasures *erasures);
void erasures_close(struct erasures *erasures);

/* --- removals.c: local copies of what was deleted --- */

struct removals *removals_new(struct service *service);
void removals_look_soon(struct service *service);
void removals_stop(struct removals *removals);
bool removals_are_idle(const struct removals *removals);
void removals_close(struct removals *removals);

/* --- forgetting.c: details are wiped, and the head of the audit is told --- */

struct forgetting *forgetting_new(struct service *service);
/* delete.keep_details may have changed. */
void forgetting_look_soon(struct service *service);
void forgetting_stop(struct forgetting *forgetting);
bool forgetting_is_idle(const struct forgetting *forgetting);
void forgetting_close(struct forgetting *forgetting);

/* --- blocks.c: what must never be uploaded again --- */

/* What `state_dir`/tombstones holds goes into the ledger's open transaction. 0 or negative errno,
 * which is told. */
int blocks_restore(struct ledger *ledger, const char *state_dir);
/* After each commit: what only the ledger holds goes into the file. */
void blocks_file(struct service *service);

/* --- uplink.c: how much of the uplink uploads may take --- */

struct uplink *uplink_new(struct service *service);
/* As the present configuration wants it at this time, for transfers in flight, too. */
void uplink_configure(struct uplink *uplink);
struct bandwidth_now uplink_in_force(const struct uplink *uplink);
/* Why nothing leaves, in words; "": something may. */
const char *uplink_held_because(const struct uplink *uplink);
/* A window wants it, and ends. */
bool uplink_is_held_for_a_time(const struct uplink *uplink);
void uplink_upload_began(struct uplink *uplink);
/* Something that it goes by is another. */
void uplink_look(struct uplink *uplink);
/* Begins nothing more. */
void uplink_stop(struct uplink *uplink);
bool uplink_is_idle(const struct uplink *uplink);
void uplink_close(struct uplink *uplink);

/* --- plan_options.c --- */

/* The longest that this configuration makes a recording wait. */
int64_t service_longest_wait(const struct config *config);
struct plan_options service_plan_options(const struct config *config);
struct erasure_options service_erasure_options(const struct config *config);

/* --- service.c --- */

/* Ends the service with this code. */
void service_end(struct service *service, int exit_code);

/* A part has closed (see open_parts). */
void service_part_closed(void *service);

#endif
