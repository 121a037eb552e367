"""A port that another process takes while the engine loads is noticed at the second look."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from launcher.keeper.port_watch import PortWatch, is_held
from launcher.plan.model import PortUse
from tests.support import ROOT
from tests.support.ports import free_port


@pytest.fixture
def thief() -> Iterator[int]:
    """A port on which this process, which is not an engine, listens at 127.0.0.1."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        yield server.getsockname()[1]


def watch(port: int, address: str = "0.0.0.0") -> PortWatch:
    return PortWatch((PortUse("api", free_port(), "127.0.0.1"), PortUse("metrics", port, address)))


def test_nobody_listens() -> None:
    watched = watch(free_port())
    assert [watched.look([]) for _ in range(3)] == [None] * 3


def test_the_engine_listens(thief: int) -> None:
    watched = watch(thief)
    assert [watched.look([os.getpid()]) for _ in range(3)] == [None] * 3
    assert is_held(PortUse("metrics", thief, "0.0.0.0"), [os.getpid()])
    assert not is_held(PortUse("metrics", thief, "0.0.0.0"), [])


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "localhost", ""])
def test_another_process_listens(thief: int, address: str) -> None:
    watched = watch(thief, address)
    assert watched.look([]) is None, "it may be a child of the engine's that is not known yet"
    rung = watched.look([])
    assert rung is not None
    assert (rung.verdict, rung.code) == ("failed", "port-taken-while-loading")
    assert f"port {thief} (metrics)" in rung.message
    assert f"pid {os.getpid()}" in rung.message


def test_a_port_that_the_engine_does_not_bind_may_be_anybodys(thief: int) -> None:
    watched = PortWatch((PortUse("queue", thief, "0.0.0.0", bound=False),))
    assert [watched.look([]) for _ in range(3)] == [None] * 3


def test_another_address_is_no_obstacle(thief: int) -> None:
    watched = watch(thief, "127.0.0.2")
    assert [watched.look([]) for _ in range(3)] == [None] * 3


@pytest.mark.parametrize("only_ipv6", [True, False])
def test_an_ipv6_wildcard_is_one_where_it_takes_ipv4_along(only_ipv6: bool) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
        try:
            server.bind(("::", free_port()))
        except OSError:
            pytest.skip("no IPv6 here")
        server.listen()
        watched = watch(server.getsockname()[1], "127.0.0.1")
        looks = [watched.look([]) for _ in range(2)]
    assert (looks[-1] is None) == only_ipv6


def test_who_was_there_for_a_moment_only_is_forgotten() -> None:
    port = free_port()
    watched = watch(port)
    with socket.create_server(("127.0.0.1", port)):
        assert watched.look([]) is None
    assert watched.look([]) is None
    with socket.create_server(("127.0.0.1", port)):
        assert watched.look([]) is None


def test_a_child_that_listens_for_the_engine() -> None:
    """Known at the second look, as the keeper looks for new processes every second."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])"
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-u", "-c", code + "; input()"], text=True, cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        watched = watch(int(child.stdout.readline()))
        assert watched.look([os.getpid()]) is None
        assert watched.look([os.getpid(), child.pid]) is None
    finally:
        child.communicate("\n")
