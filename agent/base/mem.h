/*
 * Memory for the agent: never NULL. Short of memory the process says so and ends with 71
 * (EX_OSERR); that is a crash like any other, and every crash is safe (each effect follows its
 * commit).
 */
#ifndef CHORUS_BASE_MEM_H
#define CHORUS_BASE_MEM_H

#include <stddef.h>

/* Says that memory is short, and ends the process: for what a library refused for want of it. */
_Noreturn void mem_exhausted(void);

void *mem_zalloc(size_t size);
void *mem_array(size_t count, size_t size); /* zeroed */
void *mem_resize(void *old, size_t count, size_t size);
char *mem_string(const char *s);                 /* a copy; NULL stays NULL */
char *mem_bytes_string(const char *s, size_t n); /* a copy of n bytes, ended by NUL */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_replace(char **slot, char *with); /* frees the old one; takes `with` over */

#endif
