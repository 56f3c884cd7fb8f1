#include "lines.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"

struct lines {
    int fd; /* -1: nothing is kept */
    char *path;
    pthread_mutex_t lock;
};

/* Returns the size of the part that is whole lines. */
static size_t read_back(const char *path, char *text, size_t size, lines_reader *read,
                        void *context)
{
    size_t at = 0;
    for (;;) {
        char *end = memchr(text + at, '\n', size - at);
        if (end == NULL) {
            return at;
        }
        *end = '\0';
        cJSON *line = cJSON_Parse(text + at);
        if (line == NULL) {
            base_die("%s: a line that is no JSON: %.80s", path, text + at);
        }
        read(context, line);
        cJSON_Delete(line);
        at = (size_t)(end - text) + 1;
    }
}

static void restore(struct lines *lines, lines_reader *read, void *context)
{
    size_t size = 0;
    char *text = base_read_file(lines->path, &size);
    if (text == NULL) {
        base_die("%s: %s", lines->path, strerror(errno));
    }
    size_t whole = read_back(lines->path, text, size, read, context);
    free(text);
    if (whole < size && ftruncate(lines->fd, (off_t)whole) != 0) {
        base_die("%s: %s", lines->path, strerror(errno));
    }
}

struct lines *lines_open(const char *path, lines_reader *read, void *context)
{
    struct lines *lines = base_need(sizeof *lines);
    pthread_mutex_init(&lines->lock, NULL);
    lines->fd = -1;
    if (path == NULL) {
        return lines;
    }
    lines->path = base_copy(path);
    lines->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (lines->fd < 0) {
        base_die("%s: %s", path, strerror(errno));
    }
    restore(lines, read, context);
    return lines;
}

void lines_close(struct lines *lines)
{
    if (lines == NULL) {
        return;
    }
    if (lines->fd >= 0) {
        close(lines->fd);
    }
    pthread_mutex_destroy(&lines->lock);
    free(lines->path);
    free(lines);
}

static void write_whole(const struct lines *lines, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t done = write(lines->fd, text, size);
        if (done < 0 && errno != EINTR) {
            base_die("%s: %s", lines->path, strerror(errno));
        }
        if (done > 0) {
            text += done;
            size -= (size_t)done;
        }
    }
}

void lines_append(struct lines *lines, cJSON *line, enum lines_sync sync)
{
    if (lines->fd >= 0) {
        char *json = cJSON_PrintUnformatted(line);
        char *text = base_text("%s\n", json);
        pthread_mutex_lock(&lines->lock);
        write_whole(lines, text, strlen(text));
        if (sync == LINES_SYNCED && fdatasync(lines->fd) != 0) {
            base_die("%s: %s", lines->path, strerror(errno));
        }
        pthread_mutex_unlock(&lines->lock);
        free(text);
        cJSON_free(json);
    }
    cJSON_Delete(line);
}
