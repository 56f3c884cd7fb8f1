/* upload.order: which of the queued recordings goes first. Pure. */
#ifndef CHORUS_PLAN_ORDER_H
#define CHORUS_PLAN_ORDER_H

enum upload_order { ORDER_NEWEST, ORDER_OLDEST, ORDER_SMALLEST };

#endif
