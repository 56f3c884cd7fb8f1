/*
 * History: stories older than `history` are forgotten, little by little; the facts stay. Thread:
 * the loop's.
 */
#ifndef CHORUS_SERVICE_HISTORY_H
#define CHORUS_SERVICE_HISTORY_H

struct history;
struct service;

struct history *history_new(struct service *service);
/* Begins nothing more. */
void history_stop(struct history *history); /* may be NULL */
/* After the journal has dropped or done what was begun. */
void history_close(struct history *history); /* may be NULL */

#endif
