#include "agent/plan/backoff.h"

uint64_t backoff_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int64_t backoff_delay(uint64_t *state, int64_t first_ms, int64_t most_ms, int tries)
{
    int64_t ceiling = first_ms;
    for (int i = 1; i < tries && ceiling < most_ms; i++)
        ceiling = ceiling <= INT64_MAX / 2 ? 2 * ceiling : INT64_MAX;
    if (ceiling > most_ms)
        ceiling = most_ms;
    if (ceiling < 1)
        ceiling = 1;
    return 1 + (int64_t)(backoff_random(state) % (uint64_t)ceiling);
}

int64_t backoff_retry_after(int64_t said_ms, int64_t otherwise_ms)
{
    enum { SHORTEST = 1000, LONGEST = 3600000 };
    if (said_ms < 0)
        return otherwise_ms;
    if (said_ms < SHORTEST)
        return SHORTEST;
    return said_ms > LONGEST ? LONGEST : said_ms;
}
