/*
 * The API token: first $CREDENTIALS_DIRECTORY/token, then chorus.token_file, then
 * $CHORUS_API_TOKEN. It is never logged. Blocks shortly; any thread.
 */
#ifndef CHORUS_SERVICE_TOKEN_H
#define CHORUS_SERVICE_TOKEN_H

/* 0 and *token (new string; wipe with token_clear), or -1 and *problem (new string): why there is
 * none, on which file, and what to do. */
int token_read(const char *token_file, char **token, char **problem);

void token_clear(char **token);

#endif
