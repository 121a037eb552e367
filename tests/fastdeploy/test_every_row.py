"""Every test of a measured row, once for each release that has a table of its own differences.

`make soak` only: the suite has a sample in `test_newer_releases.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.fastdeploy import (
    test_left_behind,
    test_measured_rows,
    test_plan_ports,
    test_ports,
    test_serving,
    test_start_failures,
    test_stopping,
)
from tests.fastdeploy.conftest import Make, Server

pytestmark = pytest.mark.soak

RELEASES = ("2.4", "2.5", "2.6")
ROWS = (
    test_left_behind, test_measured_rows, test_plan_ports, test_ports, test_serving,
    test_start_failures, test_stopping,
)  # fmt: skip


@pytest.fixture(params=RELEASES)
def fastdeploy(request: pytest.FixtureRequest, fastdeploy: Make) -> Make:
    """Servers of one release; a test that names its own release keeps it."""

    def make(*arguments: Any, **keys: Any) -> Server:
        release = {} if len(arguments) > 1 else {"release": request.param}
        server: Server = fastdeploy(*arguments, **{**release, **keys})
        return server

    return make


for _module in ROWS:
    globals().update(
        {name: value for name, value in vars(_module).items() if name.startswith("test_")}
    )
for _name in [module.__name__.rpartition(".")[2] for module in ROWS]:
    globals().pop(_name)
