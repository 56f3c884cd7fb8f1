/*
 * `rate: auto`: while uploads are in flight it reads what TCP tells of their way, and sets the
 * uploader's rate as the law says (agent/bandwidth/delay.h). No timer runs while nothing is sent.
 * Thread: the loop's.
 */
#ifndef CHORUS_SERVICE_AUTO_RATE_H
#define CHORUS_SERVICE_AUTO_RATE_H

#include <stdint.h>

struct auto_rate;
struct service;

struct auto_rate *auto_rate_new(struct service *service);
/* On, with a ceiling in bytes a second (UPLOADER_UNLIMITED: none); what was learnt stays. */
void auto_rate_on(struct auto_rate *rate, uint64_t ceiling);
/* Off: the uploader's rate is the caller's. */
void auto_rate_off(struct auto_rate *rate);
/* An upload has begun. */
void auto_rate_wake(struct auto_rate *rate);
/* Bytes a second; 0: off. */
uint64_t auto_rate_now(const struct auto_rate *rate);
void auto_rate_close(struct auto_rate *rate);

#endif
