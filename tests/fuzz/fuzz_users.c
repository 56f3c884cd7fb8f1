/* The list of Chorus users. The input's first line is somebody to look for, the second is the first
 * page, the rest the next one. */
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/chorus/users.h"
#include "agent/rules/email.h"
#include "fuzz.h"

static void look_at(const struct users *users)
{
    for (size_t i = 0; i < users_count(users); i++) {
        const char *email = users_at(users, i);
        MUST(email_is_valid(email)); /* so it may stand in a line, a table and a log */
        MUST(i == 0 || strcasecmp(users_at(users, i - 1), email) < 0); /* none twice */
        MUST(users_has(users, email));
    }
}

/* May stand in a request line, and ends no part of it. */
static void look_at_target(const char *target)
{
    static const char begins[] = USERS_TARGET "?continuation_key=";
    MUST(strncmp(target, begins, sizeof begins - 1) == 0);
    target += sizeof begins - 1;
    MUST(*target != '\0' && strpbrk(target, "&=?/,+#") == NULL);
    for (; *target != '\0'; target++)
        MUST(*target > 0x20 && *target < 0x7f);
}

static void add(struct users *users, const char *body)
{
    char *next;
    size_t before = users_count(users);
    long added = users_add_answer(users, body, &next);
    MUST(added >= -1);
    MUST(added >= 0 || next == NULL); /* what is no list leads nowhere, and adds nobody */
    MUST(users_count(users) == before + (added > 0 ? (size_t)added : 0));
    if (next != NULL)
        look_at_target(next);
    free(next);
    look_at(users);
}

static bool stands_in(const struct users *users, const char *email)
{
    for (size_t i = 0; i < users_count(users); i++) {
        if (strcasecmp(users_at(users, i), email) == 0)
            return true;
    }
    return false;
}

/* Kept and read again it is the same list, and nothing else is left there. */
static void keep(const struct users *users)
{
    char folder[] = "/tmp/chorus-fuzz-users-XXXXXX";
    MUST(mkdtemp(folder) != NULL);
    MUST(users_save(users, folder) == 0);
    struct users *again = users_load(folder);
    MUST((again == NULL) == (users_count(users) == 0));
    MUST(again == NULL || users_digest(again) == users_digest(users));
    users_free(again);
    char *file = mem_printf("%s/users", folder);
    MUST(unlink(file) == 0 && rmdir(folder) == 0);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_input input = {data, n};
    char *email = fuzz_line(&input), *first = fuzz_line(&input), *second = fuzz_text(&input);
    struct users *users = users_new();
    add(users, first);
    uint64_t digest = users_digest(users);
    size_t count = users_count(users);
    add(users, second);
    MUST(users_count(users) > count || users_digest(users) == digest);
    count = users_count(users);
    add(users, first);
    MUST(users_count(users) == count); /* nobody is new twice */
    MUST(users_has(users, email) == stands_in(users, email));
    if (n % 64 == 0) /* it writes to the disk */
        keep(users);
    users_free(users);
    free(second);
    free(first);
    free(email);
    return 0;
}
