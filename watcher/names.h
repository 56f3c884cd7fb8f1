/*
 * Which names are recordings: globs, temporary names, the default list. Pure; any thread.
 * Names are bytes; case is ignored in ASCII only.
 */
#ifndef CHORUS_WATCHER_NAMES_H
#define CHORUS_WATCHER_NAMES_H

#include <stdbool.h>

struct watch_options;

/* Most levels of folders below a watch; told when passed. */
enum { NAMES_DEPTH = 128 };

/* `*` and `?` do not cross '/'; [a-z], [!a-z]; a backslash takes the next byte as it is. */
bool names_match(const char *glob, const char *text);

/* As watch_is_beside, for a path that is not passed over. */
bool names_beside(const struct watch_options *options, const char *path);

/* As watch_passes_over. */
const char *names_pass_over(const struct watch_options *options, const char *path);

/* Whether a folder of this name is never entered. */
bool names_folder_passed_over(const char *name);

/* Last part of a path; what follows its last dot ("" without one). */
const char *names_base(const char *path);
const char *names_extension(const char *name);

/* What audio that Chorus does not take is called, by the name's extension: static, or NULL. */
const char *names_unsupported(const char *name);

/* Zoom keeps these in a meeting's folder until the recording there is converted. */
enum names_sign { NAMES_NO_SIGN, NAMES_SIGN_ZOOM, NAMES_SIGN_TMP };
enum names_sign names_sign(const char *name);

/* Whether a sign of this kind, at the top of the watch or below, holds back a file of this name:
 * *.zoom all; *.tmp, which other programs use too, only what Zoom makes (mp4, m4a), and not at the
 * top, where no meeting's folder is. */
bool names_sign_holds(enum names_sign sign, bool at_top, const char *name);

#endif
