#include "tally.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct known {
    char name[TALLY_NAME];
    unsigned char sha256[32];
};

struct arrival {
    int64_t ns;
    char name[TALLY_NAME];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tally_counts counts;
static struct known *manifest;
static size_t known_count;
static struct arrival *arrivals;
static size_t arrival_count, arrival_room;
static bool keeps_arrivals;
static unsigned check_every;

static void *need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

static bool read_known(const char *line, struct known *known)
{
    char hex[65];
    if (sscanf(line, "%64[0-9a-f] %95[^\n]", hex, known->name) != 2 || strlen(hex) != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        char digits[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        known->sha256[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return true;
}

int tally_read_manifest(const char *path)
{
    char line[256];
    size_t room = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    while (fgets(line, sizeof line, file) != NULL) {
        if (known_count == room) {
            room = 2 * room + 1024;
            manifest = need(realloc(manifest, room * sizeof *manifest));
        }
        if (!read_known(line, &manifest[known_count++])) {
            fclose(file);
            return -EINVAL;
        }
    }
    fclose(file);
    qsort(manifest, known_count, sizeof *manifest, by_name);
    return 0;
}

void tally_keep_arrivals(void)
{
    keeps_arrivals = true;
}

void tally_check_every(unsigned every)
{
    check_every = every;
}

bool tally_wants_check(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return check_every != 0 && (hash >> 8) % check_every == 0;
}

static bool is_right(const char *name, const unsigned char *sha256)
{
    struct known wanted;
    snprintf(wanted.name, sizeof wanted.name, "%s", name);
    const struct known *known =
        known_count == 0 ? NULL
                         : bsearch(&wanted, manifest, known_count, sizeof *manifest, by_name);
    return known != NULL && memcmp(known->sha256, sha256, sizeof known->sha256) == 0;
}

static void note_arrival(const char *name, int64_t began_ns)
{
    if (arrival_count == arrival_room) {
        arrival_room = 2 * arrival_room + 1024;
        arrivals = need(realloc(arrivals, arrival_room * sizeof *arrivals));
    }
    struct arrival *arrival = &arrivals[arrival_count++];
    arrival->ns = began_ns;
    snprintf(arrival->name, sizeof arrival->name, "%s", name);
}

void tally_connection(void)
{
    pthread_mutex_lock(&lock);
    counts.connections++;
    pthread_mutex_unlock(&lock);
}

void tally_broken(void)
{
    pthread_mutex_lock(&lock);
    counts.broken++;
    pthread_mutex_unlock(&lock);
}

uint64_t tally_upload(const char *name, uint64_t body_bytes, uint64_t data_bytes,
                      const unsigned char *sha256, bool torn, int64_t began_ns)
{
    bool wrong = torn || (sha256 != NULL && !is_right(name, sha256));
    pthread_mutex_lock(&lock);
    uint64_t number = ++counts.uploads;
    counts.body_bytes += body_bytes;
    counts.data_bytes += data_bytes;
    counts.checked += sha256 != NULL;
    counts.wrong += wrong;
    if (keeps_arrivals)
        note_arrival(name, began_ns);
    pthread_mutex_unlock(&lock);
    return number;
}

void tally_get(struct tally_counts *out)
{
    pthread_mutex_lock(&lock);
    *out = counts;
    pthread_mutex_unlock(&lock);
}

void tally_write_arrivals(FILE *to)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < arrival_count; i++)
        fprintf(to, "%" PRId64 " %s\n", arrivals[i].ns, arrivals[i].name);
    pthread_mutex_unlock(&lock);
}

void tally_reset(void)
{
    pthread_mutex_lock(&lock);
    counts = (struct tally_counts){0};
    arrival_count = 0;
    pthread_mutex_unlock(&lock);
}
