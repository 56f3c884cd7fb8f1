/* The endpoints, by the file they live in. */
#ifndef DOUBLE_ENDPOINTS_H
#define DOUBLE_ENDPOINTS_H

#include "exchange.h"

/* upload.c */
exchange_endpoint upload_take; /* POST /v3/upload */

/* reads.c */
exchange_endpoint reads_engagements;  /* GET /v3/engagements */
exchange_endpoint reads_users;        /* GET /v3/users */
exchange_endpoint reads_me;           /* GET /api/v1/users/me */
exchange_endpoint reads_conversation; /* GET /api/v1/conversations/{id} */

/* deletes.c */
exchange_endpoint deletes_batch;        /* DELETE /v3/engagements */
exchange_endpoint deletes_engagement;   /* DELETE /v3/engagements/{id} */
exchange_endpoint deletes_conversation; /* DELETE /api/v1/conversations/{id} */

/* control.c: without a token, outside the namespace of Chorus */
exchange_endpoint control_script;  /* POST /double/script */
exchange_endpoint control_token;   /* POST /double/token */
exchange_endpoint control_summary; /* GET /double/summary */

#endif
