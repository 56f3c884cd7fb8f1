"""Where the programs under test are."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

_BUILT = {
    "CHORUS_AGENT": "build-tests/agent/chorus-agent",
    "CHORUS_DOUBLE": "build-tests/tests/double/chorus-double",
}


def find(variable):
    """The absolute path that CHORUS_AGENT or CHORUS_DOUBLE names, else the test build's."""
    named = os.environ.get(variable)
    path = Path(named) if named else PROJECT / _BUILT[variable]
    if not path.is_absolute():
        raise RuntimeError(f"{variable} is not an absolute path: {named}")
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{path}: no program; build the tests, or set {variable}")
    return str(path)
