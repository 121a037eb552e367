"""The endpoint answers from a thread of its own, whatever the keeper's is busy with."""

import http.client
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.keeper.admin.endpoint import Endpoint
from launcher.keeper.loop import Loop
from launcher.keeper.record import Record
from launcher.keeper.tree import Tree
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan, PortUse
from tests.support.ports import free_port


@pytest.fixture(autouse=True)
def _switch_interval() -> Iterator[None]:
    """An endpoint changes that of its process."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def test_a_keeper_that_is_busy_answers_what_it_knows_until_it_hangs(tmp_path: Path) -> None:
    port = free_port()
    plan = LaunchPlan(
        "one", "scripted", "1.0", ("/bin/x",), "/", "/", "/", model="m",
        ports=(PortUse("admin", port, "127.0.0.1"),),
    )  # fmt: skip
    threads = threading.active_count()
    loop = Loop()  # the keeper's, which does not turn here
    record = Record(tmp_path, plan, "one:abc", Tree(loop, lambda process: None), ())
    endpoint = Endpoint(loop, tmp_path, plan, record, lambda: True)
    try:
        assert ask(port, "/readyz") == (503, "starting\n")
        record.state.state = InstanceState.READY
        assert ask(port, "/readyz") == (200, "ready\n")
        assert ask(port, "/livez") == (200, "ready\n")
        for number in range(300):  # codes that are new to the counters while a page shows them
            record.event("failure", code=f"code-{number}", message="")
        assert 'failures_total{instance="one",code="code-299"} 1' in ask(port, "/metrics")[1]
        endpoint._pages.keeper_turned -= 3600
        code, reason = ask(port, "/livez")
        hung = re.fullmatch(r"the keeper itself has hung for (\d+) s\n", reason)
        assert (code, hung is not None) == (503, True), reason
        assert hung is not None
        assert int(hung[1]) >= 3600, "and the time that the test takes"
        silent = endpoint._pages.keeper_turned
        assert loop.run_until(lambda: endpoint._pages.keeper_turned > silent, 600)
        assert ask(port, "/livez") == (200, "ready\n"), "its loop turned"
    finally:
        endpoint.close()
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        ask(port, "/livez")
