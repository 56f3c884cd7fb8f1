/*
 * An uploader, a loop and a server for one test; a file that is made up as it is read.
 */
#ifndef CHORUS_TESTS_UPLOADER_RIG_H
#define CHORUS_TESTS_UPLOADER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <cmocka.h>

#include "server.h"
#include "uploader/uploader.h"

#define TOKEN "t0ken-with-22-letters!"

struct rig {
    uv_loop_t loop;
    uv_timer_t watchdog;
    struct server *server;
    struct uploader *uploader;
    struct uploader_options options;
    char url[128];
    bool closed;
};

/* One attempt: what the body does, and how it ended. */
struct attempt {
    struct rig *rig;
    struct upload_job job;
    struct upload *upload;
    uint64_t size, read;
    uint64_t fail_at;  /* read fails once so much was read; 0: never */
    uint64_t short_at; /* the file has only so much; 0: all */
    uint64_t abort_at; /* uploader_abort from inside read; 0: never */
    size_t most;       /* bytes of one read; 0: all that are asked for */
    bool halting;      /* every other read says: not yet */
    bool halted;       /* it has said so */
    int64_t halt_ms;   /* until it goes on; -1: only by attempt_go_on */
    uv_timer_t *halt;  /* NULL: not waiting */
    unsigned halts;
    int verify_result;
    int verified, closes, ends;
    uint64_t read_at_verify;
    void (*on_done)(struct attempt *attempt);
    struct upload_answer answer; /* its strings: below */
    char id[256], said[512];
};

struct asked {
    struct rig *rig;
    struct question *question;
    int ends;
    struct question_answer answer; /* its strings: below */
    char body[4096], said[512], date[128];
};

void rig_init(struct rig *rig, server_script script, int64_t stall_timeout_ms);
void rig_renew(struct rig *rig); /* a new uploader with rig->options */
void rig_close_uploader(struct rig *rig);
void rig_finish(struct rig *rig); /* then counts may be read */
void rig_free(struct rig *rig);
void rig_turn(struct rig *rig); /* one turn of the loop; fails the test after a long time */

/* The body of a halted attempt has bytes again. */
void attempt_go_on(struct attempt *attempt);

void attempt_init(struct attempt *attempt, struct rig *rig, uint64_t size);
int attempt_start(struct attempt *attempt);
void attempt_wait(struct attempt *attempt);
enum verdict attempt_run(struct attempt *attempt);
unsigned char attempt_byte(uint64_t at); /* the file's bytes */

void ask(struct asked *asked, struct rig *rig, const char *method, const char *target,
         size_t limit);
void ask_wait(struct asked *asked);

/* A whole test in one line: one attempt of `size` bytes against `script`; the server must have got
 * exactly one header block if one left. Returns the verdict. */
enum verdict play(server_script script, uint64_t size, struct attempt *attempt);

#define assert_verdict(is, expected) assert_string_equal(verdict_name(is), verdict_name(expected))

#endif
