/* The command line of the double: where it listens, what it keeps, and one switch for every thing
 * that the vendor leaves unpublished. `chorus-double --help` lists them with the unknown each
 * stands for. */
#ifndef DOUBLE_OPTIONS_H
#define DOUBLE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The choices of a switch, in the order in which --help names them. */
enum auth { AUTH_RAW, AUTH_BEARER };
enum id_field { ID_ENGAGEMENT_ID, ID_ID, ID_DATA_ID, ID_CALLID, ID_NONE };
enum answer_shape { ANSWER_OBJECT, ANSWER_SUCCESS, ANSWER_REFUSED, ANSWER_EMPTY };
enum conflict {
    CONFLICT_409,
    CONFLICT_409_HTML,
    CONFLICT_409_EMPTY,
    CONFLICT_400,
    CONFLICT_422,
    CONFLICT_200_FALSE
};
enum refuse { REFUSE_LATE, REFUSE_EARLY, REFUSE_ABRUPT };
enum meeting_ids { MEETING_ANY, MEETING_CALENDAR };
enum users_shape { USERS_OBJECT, USERS_LIST, USERS_JSONAPI };

#define OPTIONS_NEVER INT64_MAX

struct option_list {
    char **items;
    size_t count;
};

struct options {
    int64_t port;
    char *dir;
    char *token;
    char *script;
    char *tls_cert;
    char *tls_key;
    int64_t idle_s;
    bool keep_media;
    bool no_sync;

    int auth;
    struct option_list users;
    char *users_file;
    char *me;
    int users_shape;

    int id_field;
    int answer;
    int conflict;
    int64_t bad_form;
    int64_t unknown_user;
    int refuse;
    int64_t max_size;
    struct option_list refused_extensions;

    int meeting_ids;
    struct option_list calendar;
    bool calendar_known;
    bool deletion_frees;
    int64_t check_then_store_ms; /* -1: the check and the store are one step */

    int64_t delete_after_ms;
    int64_t delete_unknown;
    char *date_time;
    char *private_rows;
    int64_t list_lag_ms;
    int64_t read_lag_ms;
    int64_t processed_after_ms;
    char *processed_state;
    bool repeat_rows;
    bool loop_key;
};

/* Reads the command line. Prints help or the fault itself; returns -1 to go on, else the exit code
 * (0 after --help, 64 for a bad command line). `options` is filled in full, freed with
 * options_free whatever came back. */
int options_read(struct options *options, int count, char **words);
void options_free(struct options *options);

/* Whether a list holds this text, letter case ignored. */
bool options_has(const struct option_list *list, const char *text);

#endif
