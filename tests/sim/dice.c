/* The one source of chance: splitmix64. */
#include "tests/sim/sim.h"

uint64_t dice_next(void)
{
    uint64_t z = (sim.random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t dice_below(uint64_t n)
{
    return n > 0 ? dice_next() % n : 0;
}

bool dice_one_in(uint64_t n)
{
    return dice_below(n) == 0;
}

int64_t dice_between(int64_t from, int64_t to)
{
    return from + (int64_t)dice_below((uint64_t)(to - from) + 1);
}
