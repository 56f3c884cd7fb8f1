"""What the double's own evidence must say at the end of a test."""

from .chorus import read_lines
from .recordings import sha256


def arrivals(double):
    """The header blocks that have arrived so far, also of requests that are still under way."""
    return read_lines(double.data / "arrivals.jsonl")


def stored_digests(double):
    """The checksums that were stored, in order."""
    return [one["sha256"] for one in double.stored()]


def digests(contents):
    """Checksums of files; what is a checksum already stays as it is."""
    return [one if isinstance(one, str) else sha256(one) for one in contents]


def assert_arrived_once(double, contents):
    """Each of these (files, or checksums) arrived once and whole, and nothing else arrived."""
    assert sorted(stored_digests(double)) == sorted(set(digests(contents)))
    assert all(one["whole"] for one in double.posts() if one.get("engagement_id"))
    assert double.summary()["doubled"] == 0
    assert double.offences() == []


def posts_that_count(double):
    """Uploads that used up an attempt: those with a refused token do not."""
    return [one for one in double.posts() if one["status"] != 401]


def attempts_told(agent):
    """The attempts that the agent owns up to, over all recordings."""
    of_content = {one["sha256"]: one["attempts"] for one in agent.list() if "sha256" in one}
    return sum(of_content.values())


def assert_attempts_agree(double, agent):
    """Counted at the double: nothing below the agent sent an upload again by itself."""
    assert len(posts_that_count(double)) == attempts_told(agent)


def assert_all_well(double, agent, contents):
    """Arrived once, and as often tried as told."""
    assert_arrived_once(double, contents)
    assert_attempts_agree(double, agent)
