"""Fixtures of the end-to-end tests.

double          a running Chorus double, with a token
double_factory  start one with switches: double_factory("--id-field", "none", script="1: reset")
agent           an agent that is configured for `double` and not yet started
agent_factory   make one: agent_factory(double, upload={"concurrency": 1})
recordings      the module that makes recordings
"""

import pytest

from support import recordings as recordings_module
from support.agent import Agent
from support.chorus import TOKEN, Double

_OPEN = pytest.StashKey()


def _opened(node):
    return node.stash.setdefault(_OPEN, [])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the agent and the double said."""
    report = (yield).get_result()
    if report.when != "call" or not report.failed:
        return
    for one in _opened(item):
        said = one.log() if isinstance(one, Agent) else one.errors()
        if said:
            report.sections.append((type(one).__name__.lower(), said[-20000:]))


@pytest.fixture
def double_factory(tmp_path, request):
    """double_factory(*switches, script="", token=TOKEN, port=0) -> Double, started."""
    made = _opened(request.node)

    def make(*switches, script="", token=TOKEN, port=0):
        number = sum(isinstance(one, Double) for one in made)
        one = Double(tmp_path / f"double-{number}", *switches, script=script, token=token,
                     port=port)
        made.append(one)
        return one.start()

    yield make
    for one in made:
        if isinstance(one, Double):
            one.stop()


@pytest.fixture
def double(double_factory):
    return double_factory()


@pytest.fixture
def agent_factory(tmp_path, request):
    """agent_factory(double_or_url, token=TOKEN, **configuration) -> Agent, not started."""
    made = _opened(request.node)

    def make(to, token=TOKEN, **changes):
        number = sum(isinstance(one, Agent) for one in made)
        one = Agent(tmp_path / f"agent-{number}", getattr(to, "url", to), token, **changes)
        made.append(one)
        return one

    yield make
    for one in made:
        if isinstance(one, Agent) and one.process is not None:
            one.process.kill()
            one.process.wait()


@pytest.fixture
def agent(double, agent_factory):
    return agent_factory(double)


@pytest.fixture
def recordings():
    return recordings_module
