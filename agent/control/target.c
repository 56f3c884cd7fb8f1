#include "agent/control/target.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/bytes.h"
#include "agent/base/mem.h"

enum { LINK_ID_DIGITS = 32, PHONE_LEAST = 7 };

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char bad_escape[] =
    "a backslash that begins no \\xHH; a backslash itself is written \\x5c";

static char *unescape(const char *text, const char **problem)
{
    char *bytes = bytes_unescape(text);
    if (bytes == NULL)
        *problem = bad_escape;
    return bytes;
}

static char *read_path(const char *text, const char **problem)
{
    return unescape(text, problem);
}

/* What an escape stands for is meant literally: the byte keeps a backslash before it where it would
 * mean more. */
static char *read_glob(const char *text, const char **problem)
{
    char *value = mem_zalloc(2 * strlen(text) + 1);
    char *to = value;
    if (*text != '/') {
        *problem = "a pattern stands for whole paths and begins with /; name:FILE takes a name";
        free(value);
        return NULL;
    }
    while (*text != '\0') {
        if (*text != '\\') {
            *to++ = *text++;
            continue;
        }
        char escape[5] = {0};
        memcpy(escape, text, strnlen(text, 4));
        char *byte = bytes_unescape(escape);
        if (byte == NULL) {
            *problem = bad_escape;
            free(value);
            return NULL;
        }
        if (strchr("*?[\\", *byte) != NULL)
            *to++ = '\\';
        *to++ = *byte;
        text += 4;
        free(byte);
    }
    return value;
}

static char *read_name(const char *text, const char **problem)
{
    char *name = unescape(text, problem);
    if (name != NULL && strchr(name, '/') != NULL) {
        *problem = "a file name holds no /; a path is written without name:";
        mem_replace(&name, NULL);
    }
    return name;
}

static char *read_sha256(const char *text, const char **problem)
{
    uint8_t digest[32];
    char hex[2 * sizeof digest + 1];
    if (!bytes_from_hex(text, digest, sizeof digest)) {
        *problem = "a SHA-256 is 64 hex digits";
        return NULL;
    }
    bytes_to_hex(digest, sizeof digest, hex);
    return mem_string(hex);
}

static char *read_engagement(const char *text, const char **problem)
{
    if (text[strspn(text, LETTERS DIGITS "-_.:~")] != '\0' || strlen(text) > 127 ||
        text[strspn(text, ".")] == '\0') {
        *problem = "an engagement's id is up to 127 letters, digits and - _ . : ~";
        return NULL;
    }
    return mem_string(text);
}

/* A letter may be a part of an extension or a slip: which digits are meant is then a guess. */
static char *read_phone(const char *text, const char **problem)
{
    char *digits = mem_zalloc(strlen(text) + 1);
    size_t n = 0;
    bool bad = text[strspn(text, DIGITS "+-.()/ ")] != '\0';
    for (; *text != '\0'; text++) {
        if (*text >= '0' && *text <= '9')
            digits[n++] = *text;
    }
    if (!bad && n >= PHONE_LEAST)
        return digits;
    *problem = bad ? "a phone number is digits, and + - . ( ) / or blanks between them"
                   : "a phone number of fewer than 7 digits would match too much";
    free(digits);
    return NULL;
}

static char *read_field(const char *text, const char **problem)
{
    size_t name = strspn(text, LETTERS DIGITS "_");
    if (name == 0 || text[name] != '=') {
        *problem = "a field is written field:NAME=VALUE";
        return NULL;
    }
    if (text[name + 1] == '\0') {
        *problem = "the field's value is empty";
        return NULL;
    }
    return unescape(text, problem);
}

static const struct {
    const char *prefix;
    enum target_kind kind;
    char *(*read)(const char *text, const char **problem); /* NULL: *problem says why */
} kinds[] = {
    {"glob:", TARGET_GLOB, read_glob},       {"name:", TARGET_NAME, read_name},
    {"sha256:", TARGET_SHA256, read_sha256}, {"engagement:", TARGET_ENGAGEMENT, read_engagement},
    {"phone:", TARGET_PHONE, read_phone},    {"field:", TARGET_FIELD, read_field},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

/* ---- links ---- */

/* Behind `https://chorus.ai/`, NULL: it is no link to Chorus. */
static const char *behind_host(const char *text)
{
    static const char *const schemes[] = {"https://", "http://", ""};
    static const char *const hosts[] = {"chorus.ai", "www.chorus.ai"};
    for (size_t i = 0; i < 3; i++) {
        size_t scheme = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], scheme) != 0)
            continue;
        for (size_t k = 0; k < 2; k++) {
            const char *host = text + scheme;
            size_t n = strlen(hosts[k]);
            if (strncasecmp(host, hosts[k], n) == 0 && (host[n] == '/' || host[n] == ':'))
                return host[n] == ':' && strncmp(host + n, ":443/", 5) == 0 ? host + n + 5
                       : host[n] == '/'                                     ? host + n + 1
                                                                            : NULL;
        }
    }
    return NULL;
}

static bool is_web_link(const char *text)
{
    return strncasecmp(text, "https://", 8) == 0 || strncasecmp(text, "http://", 7) == 0 ||
           behind_host(text) != NULL;
}

static bool is_link_id(const char *text, size_t n)
{
    return n == LINK_ID_DIGITS && strspn(text, DIGITS "abcdefABCDEF") >= n;
}

/* The ids of `call=`, which must be one. False: one is no id, or they differ. */
static bool read_call(const char *query, size_t n, const char **id)
{
    *id = NULL;
    for (size_t part; n > 0; query += part, n -= part) {
        const char *end = memchr(query, '&', n);
        part = end != NULL ? (size_t)(end - query) + 1 : n;
        size_t length = end != NULL ? part - 1 : part;
        if (length < 5 || strncmp(query, "call=", 5) != 0)
            continue;
        if (!is_link_id(query + 5, length - 5) ||
            (*id != NULL && strncasecmp(*id, query + 5, LINK_ID_DIGITS) != 0))
            return false;
        *id = query + 5;
    }
    return true;
}

/* https://chorus.ai/meeting/ID, ID?..., NUMBER?...&call=ID; a fragment means nothing. */
static char *read_link(const char *text, const char **problem)
{
    static const char form[] = "a link to a call is https://chorus.ai/meeting/ID, where ID is 32 "
                               "hex digits, or .../meeting/NUMBER?call=ID";
    const char *path = behind_host(text);
    const char *call, *id = path != NULL && strncmp(path, "meeting/", 8) == 0 ? path + 8 : NULL;
    *problem = form;
    if (id == NULL)
        return NULL;
    size_t n = strcspn(id, "/?#");
    const char *query = id + n + (id[n] == '/');
    if (*query != '\0' && *query != '?' && *query != '#')
        return NULL;
    query += *query == '?';
    if (!read_call(query, strcspn(query, "#"), &call))
        return NULL;
    bool by_id = is_link_id(id, n);
    if (!by_id && (n == 0 || strspn(id, DIGITS) < n || call == NULL))
        return NULL;
    if (by_id && call != NULL && strncasecmp(id, call, LINK_ID_DIGITS) != 0) {
        *problem = "this link names two different calls";
        return NULL;
    }
    *problem = NULL;
    return mem_bytes_string(by_id ? id : call, LINK_ID_DIGITS);
}

enum target_kind target_read(const char *text, char **value, const char **problem)
{
    *value = NULL;
    *problem = NULL;
    enum target_kind kind = TARGET_BAD;
    if (*text == '/') {
        kind = TARGET_PATH;
        *value = read_path(text, problem);
    } else if (is_web_link(text)) {
        kind = TARGET_ENGAGEMENT;
        *value = read_link(text, problem);
    } else {
        *problem = "unknown kind of target; allowed: an absolute path, a Chorus link, glob: name: "
                   "sha256: engagement: phone: field:";
        for (size_t i = 0; i < KIND_COUNT; i++) {
            size_t n = strlen(kinds[i].prefix);
            if (strncmp(text, kinds[i].prefix, n) != 0)
                continue;
            kind = kinds[i].kind;
            *problem = text[n] == '\0' ? "the value is empty" : NULL;
            *value = text[n] != '\0' ? kinds[i].read(text + n, problem) : NULL;
        }
    }
    return *value != NULL ? kind : TARGET_BAD;
}

bool target_is_like_directive(const char *text)
{
    static const char *const names[] = {"reason", "requested-by", "from",    "to",
                                        "local",  "force",        "dry-run", "dryrun",
                                        "expect", "dry_run",      "max"};
    bool at = false;
    for (; (unsigned char)*text >= 0x80 || (*text != '\0' && strchr(" \t@-", *text) != NULL);
         text++)
        at = at || *text == '@';
    size_t n = strspn(text, LETTERS "-_");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == n && strncasecmp(text, names[i], n) == 0 &&
            (text[n] == '\0' || strchr(" \t=:", text[n]) != NULL))
            return true;
    }
    return at;
}
