#include "tests/sim/disk.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/memory.h"
#include "tests/sim/sim.h"

enum { SECTOR = 512, MOST_FILES = 8, MOST_REGIONS = 32, NAME = 64, KEPT_FILES = 2 };

struct image {
    uint8_t *bytes;
    size_t size, room;
};

struct file {
    char name[NAME];
    bool there;      /* as a reader sees it */
    bool safe_there; /* its directory entry is safe */
    struct image seen, safe;
    uint8_t *dirty;                          /* by sector of `seen` */
    size_t dirty_room, dirty_from, dirty_to; /* none is dirty outside of these two */
    void *regions[MOST_REGIONS];             /* shared memory of the write-ahead log */
    int region_count;
};

static struct {
    struct file files[MOST_FILES];
    struct {
        char name[NAME];
        uint8_t *bytes;
        size_t size;
    } fresh[KEPT_FILES];
    size_t fresh_count;
    enum disk_trouble trouble;
    bool quiet, no_opening, fail_next_sync;
    int last_errno;
    struct disk_counts counts;
} disk;

struct handle {
    sqlite3_file base;
    struct file *file;
};

/* --- images --- */

static void image_room(struct image *image, size_t size)
{
    if (size <= image->room)
        return;
    image->room = size + size / 2 + 4096;
    image->bytes = realloc(image->bytes, image->room);
    if (image->bytes == NULL)
        abort();
}

static void image_resize(struct image *image, size_t size)
{
    image_room(image, size);
    if (size > image->size)
        memset(image->bytes + image->size, 0, size - image->size);
    image->size = size;
}

static size_t sectors(size_t size)
{
    return (size + SECTOR - 1) / SECTOR;
}

static void mark(struct file *file, size_t from, size_t n)
{
    size_t last = sectors(from + n);
    if (last > file->dirty_room) {
        size_t room = 2 * last + 64;
        file->dirty = realloc(file->dirty, room);
        if (file->dirty == NULL)
            abort();
        memset(file->dirty + file->dirty_room, 0, room - file->dirty_room);
        file->dirty_room = room;
    }
    memset(file->dirty + from / SECTOR, 1, last - from / SECTOR);
    if (from / SECTOR < file->dirty_from)
        file->dirty_from = from / SECTOR;
    if (last > file->dirty_to)
        file->dirty_to = last;
}

static bool is_dirty(const struct file *file, size_t sector)
{
    return sector < file->dirty_room && file->dirty[sector];
}

static void nothing_is_dirty(struct file *file)
{
    if (file->dirty_from < file->dirty_to)
        memset(file->dirty + file->dirty_from, 0, file->dirty_to - file->dirty_from);
    file->dirty_from = SIZE_MAX;
    file->dirty_to = 0;
}

static void keep_sector(struct file *file, size_t sector)
{
    size_t from = sector * SECTOR;
    if (from >= file->seen.size)
        return;
    size_t n = file->seen.size - from < SECTOR ? file->seen.size - from : SECTOR;
    if (dice_one_in(8))
        n = 1 + (size_t)dice_below((uint64_t)n); /* torn */
    if (file->safe.size < from + n)
        image_resize(&file->safe, from + n);
    memcpy(file->safe.bytes + from, file->seen.bytes + from, n);
}

static void sync_folder(void)
{
    for (size_t i = 0; i < MOST_FILES; i++) {
        struct file *file = &disk.files[i];
        if (!file->there)
            image_resize(&file->safe, 0);
        file->safe_there = file->there;
    }
}

/* What it grew by is dirty, all of it. */
static void make_safe(struct file *file)
{
    size_t size = file->seen.size;
    size_t last = sectors(size) < file->dirty_to ? sectors(size) : file->dirty_to;
    image_room(&file->safe, size);
    for (size_t i = file->dirty_from, next; i < last; i = next) {
        bool dirty = file->dirty[i];
        for (next = i + 1; next < last && file->dirty[next] == dirty; next++)
            ;
        size_t from = i * SECTOR, to = next * SECTOR < size ? next * SECTOR : size;
        if (dirty)
            memcpy(file->safe.bytes + from, file->seen.bytes + from, to - from);
    }
    file->safe.size = size;
    nothing_is_dirty(file);
    if (!file->safe_there)
        sync_folder(); /* as unix VFSes do with a new journal */
}

static void see_what_is_safe(struct file *file)
{
    image_resize(&file->seen, file->safe.size);
    if (file->safe.size > 0)
        memcpy(file->seen.bytes, file->safe.bytes, file->safe.size);
    nothing_is_dirty(file);
    file->there = file->safe_there;
}

static void lose_power(struct file *file)
{
    if (file->there && !file->safe_there && dice_one_in(2))
        file->safe_there = true;
    else if (!file->there && file->safe_there && dice_one_in(2))
        file->safe_there = false;
    if (!file->safe_there)
        image_resize(&file->safe, 0);
    /* a size that shrank may be safe or not */
    if (file->safe.size > file->seen.size && dice_one_in(2))
        image_resize(&file->safe, file->seen.size);
    for (size_t i = 0; file->safe_there && i < sectors(file->seen.size); i++) {
        if (is_dirty(file, i) && dice_one_in(2))
            keep_sector(file, i);
    }
    see_what_is_safe(file);
}

static void forget_regions(struct file *file)
{
    for (int i = 0; i < file->region_count; i++)
        free(file->regions[i]);
    file->region_count = 0;
}

static struct file *find(const char *name)
{
    for (size_t i = 0; i < MOST_FILES; i++) {
        if (strcmp(disk.files[i].name, name) == 0)
            return &disk.files[i];
    }
    return NULL;
}

static struct file *find_or_make(const char *name)
{
    struct file *file = find(name);
    for (size_t i = 0; file == NULL && i < MOST_FILES; i++) {
        if (disk.files[i].name[0] == '\0') {
            file = &disk.files[i];
            strncpy(file->name, name, NAME - 1);
        }
    }
    return file;
}

/* --- the world's hand --- */

void disk_format(bool with_fresh_ledger)
{
    for (size_t i = 0; i < MOST_FILES; i++) {
        struct file *file = &disk.files[i];
        file->there = file->safe_there = false;
        file->seen.size = file->safe.size = 0;
        nothing_is_dirty(file);
        forget_regions(file);
        file->name[0] = '\0';
    }
    for (size_t i = 0; with_fresh_ledger && i < disk.fresh_count; i++) {
        struct file *file = find_or_make(disk.fresh[i].name);
        image_resize(&file->safe, disk.fresh[i].size);
        memcpy(file->safe.bytes, disk.fresh[i].bytes, disk.fresh[i].size);
        file->safe_there = true;
        see_what_is_safe(file);
    }
    disk.trouble = DISK_WELL;
    disk.quiet = disk.fail_next_sync = false;
    memset(&disk.counts, 0, sizeof disk.counts);
    sqlite3_randomness(0, NULL); /* seeds itself anew, from our dice */
}

void disk_keep_as_fresh(void)
{
    disk.fresh_count = 0;
    for (size_t i = 0; i < MOST_FILES && disk.fresh_count < KEPT_FILES; i++) {
        struct file *file = &disk.files[i];
        if (!file->there)
            continue;
        strcpy(disk.fresh[disk.fresh_count].name, file->name);
        disk.fresh[disk.fresh_count].bytes = malloc(file->seen.size + 1);
        if (disk.fresh[disk.fresh_count].bytes == NULL)
            abort();
        memcpy(disk.fresh[disk.fresh_count].bytes, file->seen.bytes, file->seen.size);
        disk.fresh[disk.fresh_count++].size = file->seen.size;
    }
}

bool disk_has_fresh(void)
{
    return disk.fresh_count > 0;
}

void disk_trouble_is(enum disk_trouble trouble)
{
    disk.trouble = trouble;
    if (trouble == DISK_WELL)
        disk.fail_next_sync = false;
}

void disk_fail_next_sync(void)
{
    disk.fail_next_sync = true;
}

void disk_quiet(bool quiet)
{
    disk.quiet = quiet;
}

void disk_restart(bool power_cut)
{
    disk.counts.power_cuts += power_cut;
    for (size_t i = 0; i < MOST_FILES; i++) {
        forget_regions(&disk.files[i]);
        if (power_cut)
            lose_power(&disk.files[i]);
    }
}

const struct disk_counts *disk_counts(void)
{
    return &disk.counts;
}

/* --- faults --- */

static int failed(int error, int code)
{
    disk.last_errno = error;
    disk.counts.failures++;
    return code;
}

/* Whether this operation has no effect; the place to die at. */
static bool is_dead(void)
{
    if (disk.quiet)
        return false;
    disk.counts.operations++;
    sim_point();
    return sim.dead;
}

static bool fails_now(void)
{
    if (disk.quiet)
        return false;
    return disk.trouble >= DISK_BROKEN || (disk.trouble == DISK_FAILING && dice_one_in(6));
}

/* --- files --- */

static int on_close(sqlite3_file *base)
{
    (void)base;
    return SQLITE_OK;
}

static int on_read(sqlite3_file *base, void *to, int n, sqlite3_int64 from)
{
    const struct file *file = ((struct handle *)base)->file;
    if ((sim.dead || disk.trouble == DISK_DEAD) && !disk.quiet)
        return failed(EIO, SQLITE_IOERR_READ);
    size_t at = (size_t)from, left = at < file->seen.size ? file->seen.size - at : 0;
    size_t got = left < (size_t)n ? left : (size_t)n;
    if (got > 0)
        memcpy(to, file->seen.bytes + at, got);
    memset((uint8_t *)to + got, 0, (size_t)n - got);
    return got == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static void put(struct file *file, const void *bytes, size_t n, size_t to)
{
    size_t end = to + n;
    if (to > file->seen.size) {
        size_t before = file->seen.size;
        image_resize(&file->seen, to);
        mark(file, before, to - before);
    }
    if (end > file->seen.size) {
        image_room(&file->seen, end);
        file->seen.size = end;
    }
    memcpy(file->seen.bytes + to, bytes, n);
    mark(file, to, n);
}

static int on_write(sqlite3_file *base, const void *bytes, int n, sqlite3_int64 to)
{
    struct file *file = ((struct handle *)base)->file;
    size_t end = (size_t)to + (size_t)n;
    if (is_dead())
        return failed(EIO, SQLITE_IOERR_WRITE);
    bool full = disk.trouble == DISK_FULL && end > file->seen.size && !disk.quiet;
    if (full || fails_now()) {
        if (dice_one_in(4)) /* a part of it is written all the same */
            put(file, bytes, (size_t)dice_below((uint64_t)n), (size_t)to);
        return full ? failed(ENOSPC, SQLITE_FULL) : failed(EIO, SQLITE_IOERR_WRITE);
    }
    put(file, bytes, (size_t)n, (size_t)to);
    return SQLITE_OK;
}

static int on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = ((struct handle *)base)->file;
    if (is_dead() || fails_now())
        return failed(EIO, SQLITE_IOERR_TRUNCATE);
    image_resize(&file->seen, (size_t)size);
    return SQLITE_OK;
}

static int on_sync(sqlite3_file *base, int flags)
{
    struct file *file = ((struct handle *)base)->file;
    (void)flags;
    if (is_dead())
        return failed(EIO, SQLITE_IOERR_FSYNC);
    bool once = disk.fail_next_sync && !disk.quiet;
    if (once || fails_now()) {
        disk.fail_next_sync = false;
        for (size_t i = 0; i < sectors(file->seen.size); i++) {
            if (i < file->dirty_room && file->dirty[i] && file->safe_there && dice_one_in(2))
                keep_sector(file, i);
        }
        return failed(EIO, SQLITE_IOERR_FSYNC);
    }
    make_safe(file);
    disk.counts.syncs++;
    sim_point(); /* safe, but nobody has been told */
    return sim.dead && !disk.quiet ? failed(EIO, SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

static int on_size(sqlite3_file *base, sqlite3_int64 *size)
{
    *size = (sqlite3_int64)((struct handle *)base)->file->seen.size;
    return SQLITE_OK;
}

/* One program, one connection: locks have nobody to keep out. */
static int on_lock(sqlite3_file *base, int level)
{
    (void)base, (void)level;
    return SQLITE_OK;
}

static int on_check_lock(sqlite3_file *base, int *locked)
{
    (void)base;
    *locked = 0;
    return SQLITE_OK;
}

static int on_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base, (void)operation, (void)argument;
    return SQLITE_NOTFOUND;
}

static int on_sector_size(sqlite3_file *base)
{
    (void)base;
    return SECTOR;
}

static int on_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as on Linux */
}

static int on_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out)
{
    struct file *file = ((struct handle *)base)->file;
    *out = NULL;
    if (region >= file->region_count && !extend)
        return SQLITE_OK;
    if (region >= MOST_REGIONS)
        return SQLITE_IOERR_SHMSIZE;
    while (region >= file->region_count) {
        file->regions[file->region_count] = calloc(1, (size_t)size);
        if (file->regions[file->region_count++] == NULL)
            abort();
    }
    *out = file->regions[region];
    return SQLITE_OK;
}

static int on_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    (void)base, (void)offset, (void)n, (void)flags;
    return SQLITE_OK;
}

static void on_shm_barrier(sqlite3_file *base)
{
    (void)base;
}

static int on_shm_unmap(sqlite3_file *base, int forget)
{
    (void)forget; /* the last connection has gone: the next one recovers, as on Linux */
    forget_regions(((struct handle *)base)->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_lock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

/* --- the VFS --- */

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *got)
{
    (void)vfs;
    base->pMethods = NULL;
    if (disk.no_opening)
        return SQLITE_CANTOPEN;
    struct file *file = name != NULL ? find_or_make(name) : NULL;
    if (file == NULL || is_dead())
        return failed(EIO, SQLITE_CANTOPEN);
    if (!file->there && !(flags & SQLITE_OPEN_CREATE))
        return failed(ENOENT, SQLITE_CANTOPEN);
    if (!file->there) {
        /* what bore the name before does not mix with what bears it now */
        file->there = true;
        file->safe_there = false;
        image_resize(&file->seen, 0);
        image_resize(&file->safe, 0);
        nothing_is_dirty(file);
    }
    ((struct handle *)base)->file = file;
    base->pMethods = &methods;
    if (got != NULL)
        *got = flags;
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    struct file *file = find(name);
    if (is_dead() || fails_now())
        return failed(EIO, SQLITE_IOERR_DELETE);
    if (file == NULL || !file->there)
        return SQLITE_IOERR_DELETE_NOENT;
    file->there = false;
    image_resize(&file->seen, 0);
    if (sync) {
        file->safe_there = false;
        image_resize(&file->safe, 0);
    }
    return SQLITE_OK;
}

static int on_access(sqlite3_vfs *vfs, const char *name, int flags, int *there)
{
    (void)vfs, (void)flags;
    const struct file *file = find(name);
    *there = file != NULL && file->there;
    return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *vfs, const char *name, int room, char *out)
{
    (void)vfs;
    sqlite3_snprintf(room, out, "%s", name);
    return SQLITE_OK;
}

static int on_randomness(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    for (int i = 0; i < n; i++)
        out[i] = (char)dice_below(256);
    return n;
}

static int on_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

static int on_current_time(sqlite3_vfs *vfs, double *days)
{
    (void)vfs;
    *days = 2461000.5;
    return SQLITE_OK;
}

static int on_last_error(sqlite3_vfs *vfs, int room, char *out)
{
    (void)vfs, (void)room, (void)out;
    return disk.last_errno;
}

/* --- a connection that is kept, see kept.h --- */

static bool is_named(const struct file *file, const char *database, const char *suffix)
{
    size_t n = strlen(database);
    return strncmp(file->name, database, n) == 0 && strcmp(file->name + n, suffix) == 0;
}

bool disk_is_log(const sqlite3_file *file, const char *database)
{
    return file->pMethods != NULL &&
           is_named(((const struct handle *)file)->file, database, "-wal");
}

void disk_no_opening(bool none)
{
    disk.no_opening = none;
}

bool disk_is_made(const char *name)
{
    enum { COOKIE = 40, COOKIE_SIZE = 4 };
    const struct file *file = find(name);
    return file != NULL && file->there && file->seen.size >= disk.fresh[0].size &&
           memcmp(file->seen.bytes + COOKIE, disk.fresh[0].bytes + COOKIE, COOKIE_SIZE) == 0;
}

bool disk_take_over(sqlite3_file *file, const char *name)
{
    struct file *there = find(name);
    /* opened for good, its header is read at once */
    if (!disk_is_made(name) || disk.trouble == DISK_DEAD || is_dead())
        return false;
    ((struct handle *)file)->file = there;
    return true;
}

int disk_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 1,
        .szOsFile = sizeof(struct handle),
        .mxPathname = NAME - 1,
        .zName = "sim",
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_path,
        .xRandomness = on_randomness,
        .xSleep = on_sleep,
        .xCurrentTime = on_current_time,
        .xGetLastError = on_last_error,
    };
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int code = memory_register();
    if (code == SQLITE_OK)
        code = sqlite3_initialize();
    return code != SQLITE_OK ? code : sqlite3_vfs_register(&vfs, 1);
}
