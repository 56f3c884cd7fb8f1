/*
 * Deliberate faults, to prove that the tests would find them: in a test build (-DCHORUS_MUTANTS=ON)
 * `mutant("name")` is true when the environment says CHORUS_MUTANT=name; in every other build it is
 * the constant false, and nothing of it is in the program.
 */
#ifndef CHORUS_BASE_MUTANT_H
#define CHORUS_BASE_MUTANT_H

#include <stdbool.h>

#ifdef CHORUS_MUTANTS
bool mutant(const char *name);
#else
#define mutant(name) false
#endif

#endif
