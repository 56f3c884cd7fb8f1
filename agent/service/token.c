#include "agent/service/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/mem.h"

enum { MOST_BYTES = 8192 };

void token_clear(char **token)
{
    if (*token != NULL)
        explicit_bzero(*token, strlen(*token));
    mem_replace(token, NULL);
}

/* Spaces and line ends around it, and a pasted "Bearer ", are no part of it. */
static char *trim(char *text)
{
    static const char space[] = " \t\r\n";
    text += strspn(text, space);
    if (strncasecmp(text, "Bearer ", 7) == 0) {
        text += 7;
        text += strspn(text, space);
    }
    size_t n = strlen(text);
    while (n > 0 && strchr(space, text[n - 1]) != NULL)
        n--;
    text[n] = '\0';
    return text;
}

/* What a header may carry without harm. */
static const char *fault_of(const char *token)
{
    if (*token == '\0')
        return "is empty; put the API token of Chorus into it";
    for (; *token != '\0'; token++) {
        if (*token <= ' ' || *token > '~')
            return "holds more than one line, or bytes that no token has; put only the token into "
                   "it";
    }
    return NULL;
}

static int take(char *text, const char *where, char **token, char **problem)
{
    char *trimmed = trim(text);
    const char *fault = fault_of(trimmed);
    if (fault != NULL) {
        *problem = mem_printf("%s %s", where, fault);
        return -1;
    }
    *token = mem_string(trimmed);
    return 0;
}

static int read_file(const char *file, char **token, char **problem)
{
    char text[MOST_BYTES + 1];
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        *problem = errno == ENOENT
                       ? mem_printf("%s is not there; put the API token of Chorus into it, one "
                                    "line, readable by the service's user and nobody else",
                                    file)
                       : mem_printf("%s cannot be read: %s", file, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    ssize_t n = -1;
    if ((st.st_mode & S_IROTH) != 0)
        *problem = mem_printf("%s can be read by everybody, so it is not used; chmod o-r it, and "
                              "make a new token",
                              file);
    else if (!S_ISREG(st.st_mode) || st.st_size > MOST_BYTES)
        *problem = mem_printf("%s is no token file", file);
    else if ((n = read(fd, text, MOST_BYTES)) < 0)
        *problem = mem_printf("%s cannot be read: %s", file, strerror(errno));
    close(fd);
    if (n < 0)
        return -1;
    text[n] = '\0';
    int result = take(text, file, token, problem);
    explicit_bzero(text, sizeof text);
    return result;
}

int token_read(const char *token_file, char **token, char **problem)
{
    *token = NULL;
    *problem = NULL;
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (credentials != NULL) {
        char *file = mem_printf("%s/token", credentials);
        int result = access(file, F_OK) == 0 ? read_file(file, token, problem) : 1;
        free(file);
        if (result <= 0)
            return result;
    }
    const char *from_environment = getenv("CHORUS_API_TOKEN");
    if (access(token_file, F_OK) == 0 || from_environment == NULL)
        return read_file(token_file, token, problem);
    char *copy = mem_string(from_environment);
    int result = take(copy, "$CHORUS_API_TOKEN", token, problem);
    token_clear(&copy);
    return result;
}
