/* chorus-sim: see --help. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/disk.h"
#include "tests/sim/sim.h"

/* What a life held in memory is lost with its process: so many seeds a process. */
enum { SEEDS_A_PROCESS = 250, MOST_JOBS = 64, SECONDS_A_SEED = 60 };

static const char help[] =
    "chorus-sim: the real plan, ledger and service in virtual time, through crashes and faults\n"
    "\n"
    "  --seed N       one world, and what was violated in it\n"
    "  --trace        ... told line by line\n"
    "  --seeds A-B    those worlds, to the first that breaks a promise\n"
    "  --jobs N       in so many processes (1)\n"
    "  --twice        each world twice, the second time without what is kept between lives "
    "(kept.h):\n"
    "                 its trace must be the same\n"
    "\n"
    "Exit: 0 no promise was broken, 1 one was. CHORUS_MUTANT=NAME plants a fault (mutant.h).\n";

struct shared {
    uint64_t seed[MOST_JOBS]; /* that each process is at */
    uint64_t next;
    uint64_t done, crashes, posts, commits;
    bool stop; /* one has broken a promise: the others need not go on */
};

struct options {
    uint64_t from, to;
    int jobs;
    bool one, trace, twice;
};

static struct shared *shared;
static const char *program;

/* Whether the seed keeps its promises; told if not. */
static bool run_seed(uint64_t seed, const struct options *options)
{
    world_run(seed, options->trace, false);
    uint64_t hash = sim.hash;
    __atomic_add_fetch(&shared->crashes, sim.crashes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&shared->posts, sim.posts, __ATOMIC_RELAXED);
    __atomic_add_fetch(&shared->commits, sim.commits, __ATOMIC_RELAXED);
    __atomic_add_fetch(&shared->done, 1, __ATOMIC_RELAXED);
    if (!sim.failed && options->twice) {
        world_run(seed, false, true);
        if (sim.hash != hash && !sim.failed)
            violated("the same seed twice makes two different traces");
    }
    if (sim.failed) {
        printf("seed %" PRIu64 ": %s\n  again: %s --seed %" PRIu64 " --trace\n", seed,
               sim.violation, program, seed);
        fflush(stdout);
    }
    return !sim.failed;
}

/* One process: of the seeds up to `to`, those that no other one takes. */
static int run_share(uint64_t to, int job, const struct options *options)
{
    if (disk_register() != 0)
        return 2;
    while (!shared->stop) {
        uint64_t seed = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);
        if (seed > to)
            break;
        shared->seed[job] = seed;
        alarm(SECONDS_A_SEED);
        if (!run_seed(seed, options)) {
            shared->stop = true;
            return 1;
        }
    }
    return 0;
}

static bool child_is_well(int status, int job)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != 1)
        printf("seed %" PRIu64 ": the program was ended by %s %d\n  again: %s --seed %" PRIu64
               " --trace\n",
               shared->seed[job], WIFSIGNALED(status) ? "signal" : "exit code",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), program,
               shared->seed[job]);
    return false;
}

static bool run_all(const struct options *options)
{
    uint64_t chunk = (uint64_t)options->jobs * SEEDS_A_PROCESS;
    bool well = true;
    for (uint64_t from = options->from; well && from <= options->to; from += chunk) {
        uint64_t to = options->to - from < chunk ? options->to : from + chunk - 1;
        pid_t pids[MOST_JOBS];
        fflush(stdout);
        shared->next = from;
        for (int job = 0; job < options->jobs; job++) {
            pids[job] = fork();
            if (pids[job] == 0)
                _exit(run_share(to, job, options));
        }
        for (int job = 0; job < options->jobs; job++) {
            int status;
            if (pids[job] < 0 || waitpid(pids[job], &status, 0) < 0)
                return false;
            well = child_is_well(status, job) && well;
        }
    }
    return well;
}

static bool read_seeds(const char *text, struct options *options)
{
    char *end;
    errno = 0;
    options->from = options->to = strtoull(text, &end, 10);
    if (*end == '-' && end[1] != '\0')
        options->to = strtoull(end + 1, &end, 10);
    return errno == 0 && *end == '\0' && end != text && options->to >= options->from;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){.to = 999, .jobs = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--trace") == 0) {
            options->trace = true;
        } else if (strcmp(argv[i], "--twice") == 0) {
            options->twice = true;
        } else if (strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--seeds") == 0) {
            options->one = strcmp(argv[i], "--seed") == 0;
            if (!read_seeds(value, options))
                return false;
            i++;
        } else if (strcmp(argv[i], "--jobs") == 0) {
            options->jobs = atoi(value);
            if (options->jobs < 1 || options->jobs > MOST_JOBS)
                return false;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct options options;
    program = argv[0];
    if (!read_options(argc, argv, &options)) {
        fputs(help, argc > 1 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc > 1 && strcmp(argv[1], "--help") == 0 ? 0 : 64;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 71;
    shared->next = options.from;
    if (options.one) /* in this process, for a debugger */
        return run_share(options.to, 0, &options);
    double began = seconds();
    bool well = run_all(&options);
    double took = seconds() - began;
    printf("%" PRIu64 " seeds, %" PRIu64 " crashes, %" PRIu64 " POSTs, %" PRIu64
           " commits; %.0f seeds/s\n",
           shared->done, shared->crashes, shared->posts, shared->commits,
           (double)shared->done / (took > 0 ? took : 1));
    return well ? 0 : 1;
}
