/*
 * What the fuzz targets share. A target takes its input apart, calls what it is about as the agent
 * does, and says with MUST what holds whatever the input is: a promise of the header that it tests.
 */
#ifndef CHORUS_TESTS_FUZZ_H
#define CHORUS_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program, which is a finding, when the promise is broken. */
#define MUST(promise)                                                                              \
    do {                                                                                           \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #promise);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* libFuzzer calls it with one input after the other; 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fuzz_input {
    const uint8_t *data;
    size_t n;
};

/* The input up to the next line end, which is passed over, or up to its end; without bytes 0. New
 * string. */
char *fuzz_line(struct fuzz_input *input);

/* All that is left, and nothing behind it that may be read: new memory of *n bytes. */
char *fuzz_rest(struct fuzz_input *input, size_t *n);

/* The same, cut at the first byte 0: new string. */
char *fuzz_text(struct fuzz_input *input);

/* The path of a file, one and the same for each `which` of 0 and 1, that holds these bytes. */
const char *fuzz_file(int which, const void *bytes, size_t n);

/* Whether it may stand in a log or on a terminal: UTF-8 without control characters. */
bool fuzz_is_showable(const char *text);

#endif
