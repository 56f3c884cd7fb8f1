#include "agent/service/first_start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"

/* "MS NAME PATH\n", the path escaped. A last line without its end was cut by a crash, and counts
 * for nothing. */
static bool find(FILE *file, const char *key, int64_t *ms)
{
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    ssize_t n;
    while (!found && (n = getline(&line, &room, file)) > 0) {
        if (line[n - 1] != '\n')
            break;
        line[n - 1] = '\0';
        char *rest = strchr(line, ' ');
        found = rest != NULL && strcmp(rest + 1, key) == 0;
        if (found)
            *ms = strtoll(line, NULL, 10);
    }
    free(line);
    return found;
}

static int append(const char *state_dir, const char *file, const char *line)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    /* the line before may have been cut: an own line begins afresh */
    off_t size = lseek(fd, 0, SEEK_END);
    int error = 0;
    if ((size > 0 && write(fd, "\n", 1) != 1) ||
        write(fd, line, strlen(line)) != (ssize_t)strlen(line) || fsync(fd) != 0)
        error = -errno;
    close(fd);
    int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        if (error == 0 && fsync(dir) != 0)
            error = -errno;
        close(dir);
    }
    return error;
}

int first_start_of(const char *state_dir, const char *name, const char *path, int64_t now_ms,
                   int64_t *first_start_ms, bool *recorded)
{
    char *file = mem_printf("%s/first-start", state_dir);
    char *escaped = bytes_escape(path);
    char *key = mem_printf("%s %s", name, escaped);
    FILE *stream = fopen(file, "re");
    int error = stream == NULL && errno != ENOENT ? -errno : 0;
    *recorded = stream != NULL && find(stream, key, first_start_ms);
    if (stream != NULL)
        fclose(stream);
    if (error == 0 && !*recorded) {
        char *line = mem_printf("%" PRId64 " %s\n", now_ms, key);
        *first_start_ms = now_ms;
        error = append(state_dir, file, line);
        free(line);
    }
    free(key);
    free(escaped);
    free(file);
    return error;
}
