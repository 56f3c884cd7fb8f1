/* libyaml's complaint in the words of an administrator. */
#ifndef CHORUS_CONFIG_YAML_ERROR_H
#define CHORUS_CONFIG_YAML_ERROR_H

#include <stddef.h>

struct config_problems;
struct yaml_parser_s;

/* Tells the syntax error at which the parser stopped, with its line and what to do. */
void yaml_error_tell(const struct yaml_parser_s *parser, const char *bytes, size_t n,
                     struct config_problems *problems);

#endif
