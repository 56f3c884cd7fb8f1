#include "agent/ledger/place.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/base/mem.h"
#include "agent/base/mutant.h"

const char *place_network(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } networks[] = {{0x6969, "NFS"},     {0xFF534D42, "SMB"}, {0xFE534D42, "SMB"},
                    {0x517B, "SMB"},     {0x01021997, "9P"},  {0x5346414F, "AFS"},
                    {0x6B414653, "AFS"}, {0x73757245, "Coda"}};
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        if (networks[i].type == type)
            return networks[i].name;
    }
    return NULL;
}

char *place_problem(const char *state_dir)
{
    struct statfs fs;
    struct stat st;
    const char *network = statfs(state_dir, &fs) == 0 ? place_network((uint32_t)fs.f_type) : NULL;
    if (mutant("ledger-on-nfs"))
        network = "NFS";
    if (network != NULL)
        return mem_printf(
            "%s lies on %s, where SQLite's locks do not hold and a ledger breaks; set "
            "state_dir to a folder on a disk of this machine",
            state_dir, network);
    char *file = mem_printf("%s/ledger.db", state_dir);
    char *problem = NULL;
    if (lstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink > 1)
        problem = mem_printf("%s has %lu names (hard links): opened by another one it would break; "
                             "remove the others (find %s -samefile %s)",
                             file, (unsigned long)st.st_nlink, state_dir, file);
    free(file);
    return problem;
}

size_t place_lineage(const char *folder, struct root_identity *out, size_t most)
{
    size_t count = 0;
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0 && count < most && root_identity_of(at, &out[count]) == 0) {
        bool top = count > 0 && out[count].dev == out[count - 1].dev &&
                   out[count].ino == out[count - 1].ino;
        int above = top ? -1 : openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = above;
        count += !top;
    }
    if (at >= 0)
        close(at);
    return count;
}
