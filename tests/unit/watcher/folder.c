#include "folder.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *at(struct folder *f, const char *path)
{
    static char buffers[4][512];
    static int next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, sizeof buffers[0], "%s/%s", f->root, path);
    return buffer;
}

void put(struct folder *f, const char *path, const char *text)
{
    int fd = open(at(f, path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

const struct told *folder_last(const struct folder *f, const char *path)
{
    for (size_t i = f->told_count; i-- > 0;) {
        if (strcmp(f->told[i].path, path) == 0) {
            return &f->told[i];
        }
    }
    return NULL;
}

size_t folder_told(const struct folder *f, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < f->told_count; i++) {
        n += strcmp(f->told[i].path, path) == 0;
    }
    return n;
}

static void judge(void *ctx, struct watch_entry *entries, size_t count)
{
    struct folder *f = ctx;
    for (size_t i = 0; i < count; i++) {
        const struct told *told = f->release ? folder_last(f, entries[i].path) : NULL;
        entries[i].known =
            told && file_identity_equal(&told->finding.identity, &entries[i].identity);
        f->known += entries[i].known;
    }
    f->judged += count;
}

static void finished(void *ctx, const struct watch_finding *finding)
{
    struct folder *f = ctx;
    assert_true(f->told_count < TOLD_MOST);
    struct told *told = &f->told[f->told_count++];
    snprintf(told->path, sizeof told->path, "%s", finding->path);
    told->finding = *finding;
    told->finding.path = NULL;
    told->at_ms = now_ms();
    if (f->fingerprint) {
        assert_int_equal(watch_fingerprint(f->watch, finding->path), 0);
        assert_int_equal(watch_fingerprint(f->watch, finding->path), 0); /* twice is once */
    } else if (f->release) {
        watch_release(f->watch, finding->path);
        assert_true(finding->path[0] != '\0'); /* still ours to read */
    }
}

static void fingerprinted(void *ctx, const struct watch_fingerprint *fingerprint)
{
    struct folder *f = ctx;
    f->printed = *fingerprint;
    f->printed_count++;
    if (f->release && fingerprint->result == WATCH_FINGERPRINT_TAKEN) {
        watch_release(f->watch, fingerprint->path);
    }
}

static void gone(void *ctx, const char *path)
{
    struct folder *f = ctx;
    f->gone_count++;
    snprintf(f->gone, sizeof f->gone, "%s", path);
}

static void scanned(void *ctx, const struct watch_scan *scan)
{
    struct folder *f = ctx;
    f->scans++;
    f->scan = *scan;
}

static void first_scan_judged(void *ctx)
{
    struct folder *f = ctx;
    f->first_judged++;
    f->findings_at_first_judged = f->told_count;
}

static void stirred(void *ctx)
{
    struct folder *f = ctx;
    struct watch_counts counts;
    watch_get_counts(f->watch, &counts);
    f->shown = counts.settling + counts.hashing;
}

static void state_changed(void *ctx, const struct watch_state *state)
{
    struct folder *f = ctx;
    f->states++;
    f->online = state->online;
    f->events = state->events;
    snprintf(f->reason, sizeof f->reason, "%s", state->reason);
}

int folder_set_up(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    f->told = calloc(TOLD_MOST, sizeof *f->told);
    strcpy(f->root, "/tmp/watch-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    uv_timer_init(&f->loop, &f->guard);
    f->guard.data = f;
    f->options = (struct watch_options){.path = f->root,
                                        .recursive = true,
                                        .settle_ms = 100,
                                        .quiet_ms = 3600000,
                                        .open_quiet_ms = 3600000,
                                        .rescan_ms = 3600000,
                                        .events = true};
    f->release = true;
    *state = f;
    return 0;
}

void folder_start(struct folder *f)
{
    static const struct watch_callbacks callbacks = {
        .judge = judge,
        .finished = finished,
        .fingerprinted = fingerprinted,
        .gone = gone,
        .scanned = scanned,
        .first_scan_judged = first_scan_judged,
        .stirred = stirred,
        .state_changed = state_changed,
    };
    assert_int_equal(watch_new(&f->loop, &f->options, &callbacks, f, &f->watch), 0);
    assert_int_equal(watch_start(f->watch), 0);
    assert_int_equal(f->states, 0); /* no callback within the call */
}

static void on_time(uv_timer_t *timer)
{
    ((struct folder *)timer->data)->overtime = true;
}

void folder_until(struct folder *f, bool (*reached)(const struct folder *f))
{
    f->overtime = false;
    uv_timer_start(&f->guard, on_time, GUARD_MS, 0);
    while (!reached(f)) {
        uv_run(&f->loop, UV_RUN_ONCE);
        if (f->overtime) {
            uv_timer_stop(&f->guard);
            fail_msg("never happened; state: %s", f->reason);
        }
    }
    uv_timer_stop(&f->guard);
}

void folder_for(struct folder *f, int ms)
{
    f->overtime = false;
    uv_update_time(&f->loop);
    uv_timer_start(&f->guard, on_time, (uint64_t)ms, 0);
    while (!f->overtime) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void on_closed(void *ctx)
{
    ((struct folder *)ctx)->closed = true;
}

void folder_close(struct folder *f)
{
    if (f->watch) {
        f->closed = false;
        watch_close(f->watch, on_closed, f);
        f->watch = NULL;
        assert_false(f->closed);
        while (!f->closed) {
            uv_run(&f->loop, UV_RUN_ONCE);
        }
    }
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

int folder_tear_down(void **state)
{
    struct folder *f = *state;
    folder_close(f);
    uv_close((uv_handle_t *)&f->guard, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0); /* no handle was forgotten */
    nftw(f->root, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    free(f->told);
    free(f);
    return 0;
}
