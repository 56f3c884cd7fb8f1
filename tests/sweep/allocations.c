/*
 * Allocations that fail, in the test build of the program only (-DCHORUS_MUTANTS=ON):
 *
 *     CHORUS_FAIL_ALLOCATION=WHOSE:N     the N-th allocation of these fails
 *     CHORUS_FAIL_ALLOCATION=WHOSE:N+    and every one after it
 *     CHORUS_NOTE_ALLOCATIONS=FILE       a line for each: WHOSE N and a number for the way to it
 *
 * WHOSE is own, uv, curl, sqlite, cjson or crypto. Each library is asked by its own hooks to
 * allocate here; for our own calls the linker puts __wrap_malloc in the place of malloc, and so
 * for what we call to begin a library. All of it is in one file outside of the program's rooms,
 * which name each library where it belongs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr */
#endif

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

enum whose { OWN, UV, CURL_, SQLITE, CJSON, CRYPTO, WHOSE_COUNT };
static const char *const names[WHOSE_COUNT] = {"own", "uv", "curl", "sqlite", "cjson", "crypto"};

/* FRAMES: callers that tell one way from another. More, and every statement of SQLite's parser is
 * one of its own. OURS: of these callers, the ones in here. */
enum { FRAMES = 8, OURS = 2 };

static _Atomic long counts[WHOSE_COUNT];
static enum whose failing = WHOSE_COUNT;
static long fails_at;
static bool fails_on;
static int notes = -1;

/* --- which fails ----------------------------------------------------------------------------- */

static void note(enum whose whose, long n)
{
    void *frames[FRAMES + OURS];
    int depth = backtrace(frames, FRAMES + OURS);
    uint64_t way = UINT64_C(14695981039346656037);
    for (int i = OURS; i < depth; i++) {
        Dl_info module = {0}; /* where it is loaded differs from life to life */
        uintptr_t base = dladdr(frames[i], &module) != 0 ? (uintptr_t)module.dli_fbase : 0;
        way = (way ^ ((uintptr_t)frames[i] - base)) * UINT64_C(1099511628211);
    }
    dprintf(notes, "%s %ld %016" PRIx64 "\n", names[whose], n, way);
}

/* cJSON is given our own memory by the program: what it asks for is its own all the same. */
static _Thread_local enum { NOT_JSON, JSON, JSON_FAILS } within;

static bool fails(enum whose whose)
{
    if (whose == OWN && within != NOT_JSON)
        return within == JSON_FAILS;
    long n = atomic_fetch_add(&counts[whose], 1) + 1;
    if (notes >= 0)
        note(whose, n);
    return whose == failing && (n == fails_at || (fails_on && n > fails_at));
}

/* --- ours ------------------------------------------------------------------------------------ */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
int __real_vasprintf(char **out, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);
int __wrap_vasprintf(char **out, const char *format, va_list args);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t size)
{
    return fails(OWN) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(OWN) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(OWN) ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
    return fails(OWN) ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
    return fails(OWN) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return fails(OWN) ? NULL : __real_strndup(text, n);
}

int __wrap_vasprintf(char **out, const char *format, va_list args)
{
    return fails(OWN) ? -1 : __real_vasprintf(out, format, args);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = __wrap_vasprintf(out, format, args);
    va_end(args);
    return n;
}

/* --- the libraries' -------------------------------------------------------------------------- */

#define LIBRARY(whose, name)                                                                       \
    static void *name##_malloc(size_t size)                                                        \
    {                                                                                              \
        return fails(whose) ? NULL : __real_malloc(size);                                          \
    }                                                                                              \
    static void *name##_realloc(void *old, size_t size)                                            \
    {                                                                                              \
        return fails(whose) ? NULL : __real_realloc(old, size);                                    \
    }

LIBRARY(UV, uv)
LIBRARY(CURL_, curl)

static void *uv_calloc(size_t n, size_t size)
{
    return fails(UV) ? NULL : __real_calloc(n, size);
}

static void *curl_calloc(size_t n, size_t size)
{
    return fails(CURL_) ? NULL : __real_calloc(n, size);
}

static char *curl_strdup(const char *text)
{
    return fails(CURL_) ? NULL : __real_strdup(text);
}

static cJSON_Hooks programs;

static void *cjson_malloc(size_t size)
{
    within = fails(CJSON) ? JSON_FAILS : JSON;
    void *memory = programs.malloc_fn(size);
    within = NOT_JSON;
    return memory;
}

void __real_cJSON_InitHooks(cJSON_Hooks *hooks);
void __wrap_cJSON_InitHooks(cJSON_Hooks *hooks);
void __wrap_cJSON_InitHooks(cJSON_Hooks *hooks)
{
    cJSON_Hooks mine = {cjson_malloc, hooks->free_fn};
    programs = *hooks;
    __real_cJSON_InitHooks(&mine);
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails(CRYPTO) ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return fails(CRYPTO) ? NULL : __real_realloc(old, size);
}

static void crypto_free(void *old, const char *file, int line)
{
    (void)file, (void)line;
    free(old);
}

static sqlite3_mem_methods sqlites_own;

static void *sqlite_malloc(int size)
{
    return fails(SQLITE) ? NULL : sqlites_own.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return fails(SQLITE) ? NULL : sqlites_own.xRealloc(old, size);
}

CURLcode __wrap_curl_global_init(long flags);
CURLcode __wrap_curl_global_init(long flags)
{
    return curl_global_init_mem(flags, curl_malloc, free, curl_realloc, curl_strdup, curl_calloc);
}

static bool hook_sqlite(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlites_own) != SQLITE_OK)
        return false;
    sqlite3_mem_methods methods = sqlites_own;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    /* without the memory that it keeps aside, every allocation is one */
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK &&
           sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK;
}

/* --- the switches ---------------------------------------------------------------------------- */

static bool read_switch(const char *text)
{
    const char *colon = strchr(text, ':');
    char *end = NULL;
    for (int i = 0; colon != NULL && i < WHOSE_COUNT; i++) {
        if (strlen(names[i]) == (size_t)(colon - text) &&
            strncmp(names[i], text, (size_t)(colon - text)) == 0)
            failing = (enum whose)i;
    }
    fails_at = failing < WHOSE_COUNT ? strtol(colon + 1, &end, 10) : 0;
    fails_on = end != NULL && *end == '+';
    return fails_at > 0 && end[fails_on] == '\0';
}

__attribute__((constructor)) static void begin(void)
{
    const char *fail = getenv("CHORUS_FAIL_ALLOCATION");
    const char *to = getenv("CHORUS_NOTE_ALLOCATIONS");
    if (fail == NULL && to == NULL)
        return;
    if (to != NULL)
        notes = open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((fail != NULL && !read_switch(fail)) || (to != NULL && notes < 0) ||
        CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1 ||
        uv_replace_allocator(uv_malloc, uv_realloc, uv_calloc, free) != 0 || !hook_sqlite()) {
        fprintf(stderr, "CHORUS_FAIL_ALLOCATION or CHORUS_NOTE_ALLOCATIONS cannot be obeyed\n");
        _exit(EX_USAGE);
    }
}
