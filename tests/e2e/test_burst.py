"""Many at once: each of a thousand recordings arrives once, whole, and under the right fields."""

from support.promise import assert_kept

HALF = 500


def assert_fields_right(double, paths, recordings):
    """Each was sent under its own name, owner, key, file name and media type."""
    stored = {line["sha256"]: line for line in double.stored()}
    for path in paths:
        checksum = recordings.sha256(path)
        line = stored[checksum]
        assert line["size"] == path.stat().st_size
        assert line["filename"] == path.name
        assert line["content_type"] == "audio/wav"
        assert line["fields"] == {
            "name": path.stem, "user": "team@example.com",
            "meeting_id": f"sha256-{checksum}", "enforce_unique_meeting_id": "true"}


def test_five_hundred_that_stood_there_and_five_hundred_in_a_burst(double, agent, recordings):
    paths = recordings.many(agent.calls / "before", HALF)
    agent.start()
    for path in recordings.many(agent.root / "made", HALF, first=HALF):
        paths.append(agent.put(path, f"burst/{path.name}"))
    agent.wait_counts(uploaded=2 * HALF, only=True, timeout=300)
    rows = agent.list("--state", "uploaded")
    assert len(rows) == 2 * HALF
    assert {row["attempts"] for row in rows} == {1}
    assert len(double.posts()) == 2 * HALF
    assert_fields_right(double, paths, recordings)
    assert_kept(double, agent, paths)


def test_a_burst_that_is_written_in_place_is_taken_whole(double, agent, recordings):
    """The dialer writes into the watched folder itself: nothing is taken before it is closed."""
    agent.start()
    paths = recordings.many(agent.calls, HALF)
    agent.wait_counts(uploaded=HALF, only=True, timeout=300)
    assert len(double.posts()) == HALF
    assert_fields_right(double, paths, recordings)
    assert_kept(double, agent, paths)


def test_a_burst_of_copies_is_uploaded_once_each(double, agent, recordings):
    originals = recordings.many(agent.root / "made", 20)
    agent.start()
    paths = [agent.put(path, f"copy-{n}/{path.name}") for n in range(10) for path in originals]
    agent.wait_counts(uploaded=20, duplicate=180, only=True, timeout=120)
    assert len(double.posts()) == 20
    assert_kept(double, agent, paths)
