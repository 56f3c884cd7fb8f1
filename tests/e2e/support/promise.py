"""The promise that every end-to-end test ends with: each recording once, whole, and none twice."""

import sqlite3
from collections import Counter

from .recordings import sha256
from .waiting import wait_until


def posts_known(agent):
    """The POSTs that the agent believes have left, from its ledger."""
    ledger = sqlite3.connect(f"file:{agent.state_dir}/ledger.db?mode=ro", uri=True)
    try:
        return ledger.execute("SELECT n FROM counter WHERE name = 'posts'").fetchone()[0]
    finally:
        ledger.close()


def assert_stored_once(double, paths):
    """What Chorus stored is the content of `paths`: each once, whole, and nothing else."""
    stored = Counter(line["sha256"] for line in double.stored())
    assert stored == Counter({sha256(path) for path in paths})


def assert_posts_agree(double, agent):
    """No request left that the agent does not know of, and none offended."""
    wait_until(lambda: len(double.posts()) >= posts_known(agent), "every POST has its outcome")
    assert len(double.posts()) == posts_known(agent)
    assert double.offences() == []


def assert_kept(double, agent, paths):
    """Ends the agent, then looks at both sides: `paths` are stored once each, the POSTs agree."""
    if agent.process is not None:
        agent.stop()
    assert_posts_agree(double, agent)
    assert_stored_once(double, paths)
