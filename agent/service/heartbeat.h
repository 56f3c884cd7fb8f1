/*
 * Whether the service is alive, and what it says of itself to the service manager.
 *
 * The watchdog is fed when the loop turned and nothing that is due has stood still. Idle is
 * healthy; so is what waits for a time, a token or the network, and says so. A folder that hangs
 * takes its own watch offline, and is no cause. Thread: the loop's.
 */
#ifndef CHORUS_SERVICE_HEARTBEAT_H
#define CHORUS_SERVICE_HEARTBEAT_H

struct heartbeat;
struct service;

/* Feeds from now on, where the service manager wants it; READY. */
struct heartbeat *heartbeat_new(struct service *service);
/* STATUS, in words; sent when they changed. */
void heartbeat_tell(struct heartbeat *heartbeat);
void heartbeat_reloading(struct heartbeat *heartbeat);
void heartbeat_ready(struct heartbeat *heartbeat);
/* STOPPING; it is still fed. */
void heartbeat_stopping(struct heartbeat *heartbeat);
void heartbeat_close(struct heartbeat *heartbeat);

#endif
