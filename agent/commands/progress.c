#include "agent/commands/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/when.h"
#include "agent/commands/command.h"

enum { TERMINAL_EVERY_MS = 250, PLAIN_EVERY_MS = 10000 };

void progress_begin(struct progress_line *line)
{
    memset(line, 0, sizeof *line);
    line->on_terminal = isatty(STDERR_FILENO) != 0;
    line->started_ms = when_steady_ms();
}

static int64_t left(const struct bulk_progress *progress)
{
    const int64_t *n = progress->counts.state;
    return n[STATE_QUEUED] + n[STATE_UPLOADING] + n[STATE_WAITING] + n[STATE_UNCERTAIN] +
           (int64_t)(progress->settling + progress->hashing);
}

static int64_t total(const struct bulk_progress *progress)
{
    int64_t sum = (int64_t)(progress->settling + progress->hashing);
    for (int i = 0; i < STATE_COUNT; i++)
        sum += progress->counts.state[i];
    return sum;
}

/* What is left takes as long as as many did before; nothing is said before a tenth is done. */
static void put_eta(char *text, size_t room, const struct bulk_progress *progress,
                    int64_t elapsed_ms)
{
    char about[WHEN_TEXT];
    int64_t all = total(progress), rest = left(progress), done = all - rest;
    text[0] = '\0';
    if (progress->looking || done * 10 < all || done == 0 || rest == 0)
        return;
    when_about((int64_t)((double)elapsed_ms * (double)rest / (double)done), about);
    snprintf(text, room, ", about %s left", about);
}

static void put_line(struct progress_line *line, const struct bulk_progress *progress)
{
    char sent[COMMAND_SIZE_TEXT], rate[COMMAND_SIZE_TEXT], eta[64], found[64] = "";
    const int64_t *n = progress->counts.state;
    int64_t elapsed_ms = when_steady_ms() - line->started_ms;
    unsigned long long bytes = progress->bytes_sent - line->first_bytes;
    command_size_text(progress->bytes_sent, sent);
    command_size_text(bytes * 1000 / (unsigned long long)(elapsed_ms > 0 ? elapsed_ms : 1), rate);
    put_eta(eta, sizeof eta, progress, elapsed_ms);
    if (progress->looking)
        snprintf(found, sizeof found, ", %zu still settling or being read",
                 progress->settling + progress->hashing);
    fprintf(stderr,
            "%s%" PRId64 " of %" PRId64 " done (%" PRId64 " uploaded, %" PRId64
            " duplicate)%s, %s, %s/s%s%s%s%s",
            line->on_terminal ? "\r\033[K" : "", total(progress) - left(progress), total(progress),
            n[STATE_UPLOADED], n[STATE_DUPLICATE], found, sent, rate, eta,
            progress->paused_because[0] != '\0' ? "; waiting: " : "", progress->paused_because,
            line->on_terminal ? "" : "\n");
    line->shown = line->on_terminal;
    fflush(stderr);
}

void progress_show(struct progress_line *line, const struct bulk_progress *progress)
{
    int64_t now_ms = when_steady_ms();
    if (!line->begun) {
        line->begun = true;
        line->first_bytes = progress->bytes_sent;
    }
    bool news =
        strncmp(line->last_pause, progress->paused_because, sizeof line->last_pause - 1) != 0;
    if (!news && now_ms - line->last_ms < (line->on_terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS))
        return;
    snprintf(line->last_pause, sizeof line->last_pause, "%s", progress->paused_because);
    line->last_ms = now_ms;
    put_line(line, progress);
}

void progress_end(struct progress_line *line, const struct bulk_progress *progress)
{
    char sent[COMMAND_SIZE_TEXT], took[WHEN_TEXT];
    static const enum recording_state told[] = {STATE_UPLOADED, STATE_DUPLICATE, STATE_SKIPPED,
                                                STATE_HELD,     STATE_FAILED,    STATE_GONE,
                                                STATE_QUEUED,   STATE_WAITING,   STATE_UNCERTAIN};
    if (line->shown)
        fputc('\n', stderr);
    when_about(when_steady_ms() - line->started_ms, took);
    command_size_text((unsigned long long)progress->counts.bytes_uploaded, sent);
    fprintf(stderr, "%" PRId64 " recordings:", total(progress));
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        if (progress->counts.state[told[i]] > 0 || told[i] == STATE_UPLOADED)
            fprintf(stderr, " %" PRId64 " %s,", progress->counts.state[told[i]],
                    state_name(told[i]));
    }
    if (progress->known > 0)
        fprintf(stderr, " %llu dealt with before,", progress->known);
    fprintf(stderr, " %s in %s\n", sent, took);
    if (progress->counts.state[STATE_HELD] + progress->counts.state[STATE_FAILED] > 0)
        fprintf(stderr, "why: chorus-agent list --state held, chorus-agent list --state failed\n");
}
