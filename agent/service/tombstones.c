#include "agent/service/tombstones.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"

#define HEADER "chorus-agent tombstones 1\n"
enum { MOST_LINE = 128, HASH = 32 };

/* --- writing --- */

/* The hash stands last: of a line that was cut nothing can be taken for a shorter one. */
static size_t print_line(const struct ledger_tombstone *tombstone, int generation,
                         char line[MOST_LINE])
{
    char hex[2 * HASH + 1];
    const char *kind = tombstone->is_call ? "call" : "sha256";
    bytes_to_hex(tombstone->hash, HASH, hex);
    int n = generation > 0 ? snprintf(line, MOST_LINE, "lift %d %s %s\n", generation, kind, hex)
                           : snprintf(line, MOST_LINE, "block %s %s\n", kind, hex);
    return (size_t)n;
}

/* An own line begins afresh where the one before was cut. */
static int begins_with(int fd, const char **before)
{
    char last = '\n';
    struct stat st;
    *before = "";
    if (fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (st.st_size == 0)
        *before = HEADER;
    else if (pread(fd, &last, 1, st.st_size - 1) != 1)
        return -EIO;
    else if (last != '\n')
        *before = "\n";
    return 0;
}

static int write_whole(int fd, const char *text, size_t n)
{
    ssize_t written = write(fd, text, n);
    if (written < 0)
        return -errno;
    if ((size_t)written < n)
        return -ENOSPC;
    return fsync(fd) == 0 ? 0 : -errno;
}

static int append_to(int fd, const struct ledger_tombstone *tombstones, size_t count,
                     int generation)
{
    const char *before;
    int error = begins_with(fd, &before);
    if (error != 0)
        return error;
    char *text = mem_zalloc(sizeof HEADER + count * MOST_LINE);
    size_t n = strlen(before);
    memcpy(text, before, n);
    for (size_t i = 0; i < count; i++)
        n += print_line(&tombstones[i], generation, text + n);
    error = write_whole(fd, text, n);
    free(text);
    return error;
}

static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return error;
}

int tombstones_append(const char *state_dir, const struct ledger_tombstone *tombstones,
                      size_t count, int generation)
{
    assert(count <= TOMBSTONES_AT_ONCE);
    if (count == 0)
        return 0;
    char *file = mem_printf("%s/tombstones", state_dir);
    int fd = open(file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = fd < 0 ? -errno : append_to(fd, tombstones, count, generation);
    if (fd >= 0 && close(fd) != 0 && error == 0)
        error = -errno;
    free(file);
    /* its name, too, where it was just made: after a crash nobody knows whether it was */
    return error != 0 ? error : sync_folder(state_dir);
}

/* --- reading --- */

static bool read_hash(const char *text, struct ledger_tombstone *tombstone)
{
    tombstone->is_call = strncmp(text, "call ", 5) == 0;
    if (!tombstone->is_call && strncmp(text, "sha256 ", 7) != 0)
        return false;
    return bytes_from_hex(strchr(text, ' ') + 1, tombstone->hash, HASH);
}

static bool read_line(const char *line, struct ledger_tombstone *tombstone, int *generation)
{
    *generation = 0;
    if (strncmp(line, "block ", 6) == 0)
        return read_hash(line + 6, tombstone);
    if (strncmp(line, "lift ", 5) != 0)
        return false;
    char *rest;
    long number = strtol(line + 5, &rest, 10);
    if (number < 1 || number > 1000000 || *rest != ' ')
        return false;
    *generation = (int)number;
    return read_hash(rest + 1, tombstone);
}

static int read_lines(FILE *file,
                      void (*each)(void *ctx, const struct ledger_tombstone *tombstone,
                                   int generation),
                      void *ctx, size_t *odd)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    for (size_t number = 1; (n = getline(&line, &room, file)) > 0; number++) {
        struct ledger_tombstone tombstone;
        int generation;
        bool header = number == 1 && strcmp(line, HEADER) == 0;
        bool whole = line[n - 1] == '\n';
        if (whole)
            line[n - 1] = '\0';
        if (whole && read_line(line, &tombstone, &generation))
            each(ctx, &tombstone, generation);
        else if (!header && line[0] != '\0')
            ++*odd;
    }
    int error = ferror(file) ? -EIO : 0;
    free(line);
    return error;
}

int tombstones_read(const char *state_dir,
                    void (*each)(void *ctx, const struct ledger_tombstone *tombstone,
                                 int generation),
                    void *ctx, size_t *odd)
{
    *odd = 0;
    char *name = mem_printf("%s/tombstones", state_dir);
    FILE *file = fopen(name, "re");
    int error = file == NULL ? -errno : 0;
    free(name);
    if (file == NULL)
        return error == -ENOENT ? 0 : error;
    error = read_lines(file, each, ctx, odd);
    fclose(file);
    return error;
}
