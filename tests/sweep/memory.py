"""Allocations that fail in the real program: its test build can be told which (allocations.c)."""

import re
from collections import defaultdict, namedtuple

import plan

#: One of a life: whose it is, its number among these, and the way on which the program came to it.
Allocation = namedtuple("Allocation", "whose number way")

NOTE, FAIL = "CHORUS_NOTE_ALLOCATIONS", "CHORUS_FAIL_ALLOCATION"
REPEATED = 2  # places of a way: its first and its last
FOLLOWED = 24  # places of each library from which on all fail
ASAN = {"ASAN_OPTIONS": "exitcode=99:handle_abort=1:fast_unwind_on_malloc=0:malloc_context_size=12", "UBSAN_OPTIONS": "print_stacktrace=1"}

_REPORT = re.compile(r"ERROR: (?:Address|Leak)Sanitizer|runtime error:")
_FRAME = re.compile(r"^ *#\d+ 0x[0-9a-f]+ (?:in )?(.*)$", re.M)
_OF_A_LIBRARY = re.compile(r"\(/[^)]*/lib(?:curl|uv|sqlite3|crypto|ssl|cjson)\.so")
_OF_THE_TOOL = re.compile(r"allocations\.c|libsanitizer|libasan|/libc\.so|__interceptor|__wrap_|__GI_|nptl/|stdlib/|sysdeps/")


def noting(to):
    """The switches with which a program notes its allocations."""
    return {**ASAN, NOTE: str(to)}


def failing(whose, number, stays):
    """The switches with which an allocation fails."""
    return {**ASAN, FAIL: f"{whose}:{number}{'+' if stays else ''}"}


def allocations_of(notes):
    with open(notes) as lines:
        return [Allocation(whose, int(number), way) for whose, number, way in (line.split() for line in lines)]


def points(noted):
    """Of {scenario: its allocations}: each way to an allocation once, in the first scenario that goes it, where it is
    gone first and last there; and all from so many places on."""
    known, once, on = set(), [], []
    for scenario, allocations in noted.items():
        ways, numbers = defaultdict(list), defaultdict(list)
        for each in allocations:
            numbers[each.whose].append(each.number)
            if each.way not in known:
                ways[each.whose, each.way].append(each.number)
        known |= {way for _, way in ways}
        once += [f"memory:{scenario}:{whose}:{n}:once" for (whose, _), among in ways.items()
                 for n in plan.ends(sorted(set(among)), REPEATED)]
        on += [f"memory:{scenario}:{whose}:{n}:on" for whose, among in sorted(numbers.items())
               for n in plan.ends(sorted(among), FOLLOWED)]
    return list(dict.fromkeys(once)) + on


def report_in(said):
    """What a sanitizer said, None where it said nothing."""
    found = _REPORT.search(said)
    return said[found.start():] if found else None


# What these make is the caller's, who has to free it.
_GIVEN_TO_US = re.compile(r"EVP_MD_CTX_new|curl_(?:easy|multi|mime)_init|curl_slist_append|curl_easy_duphandle|"
                          r"sqlite3_(?:open|prepare)_v|cJSON_|uv_")


def blamed_library(report):
    """The frame of a library whose own code crashed, or lost memory of its own; None where the program did."""
    if "LeakSanitizer" not in report.split("\n")[0]:
        return _blamed(_FRAME.findall(report))
    leaks = [_FRAME.findall(part) for part in re.split(r"^(?:Direct|Indirect) leak of ", report, flags=re.M)[1:]]
    if any(_GIVEN_TO_US.search(frame) for leak in leaks for frame in leak):
        return None
    blamed = [_blamed(leak) for leak in leaks]
    return f"leak in {blamed[0]}" if blamed and all(blamed) else None


def _blamed(frames):
    mine = [frame for frame in frames if not _OF_THE_TOOL.search(frame)]
    return mine[0] if mine and _OF_A_LIBRARY.search(mine[0]) else None
