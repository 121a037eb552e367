"""Who listens on a port."""

import os
import socket
import subprocess
import sys

from launcher.probe import sockets
from tests.support.waiting import wait_for


def test_our_own_socket_is_found_and_named(free_port: int) -> None:
    assert sockets.listeners(free_port) == []
    assert sockets.describe_holder(free_port) is None
    with socket.create_server(("127.0.0.1", free_port)):
        (listener,) = sockets.listeners(free_port)
        assert (listener.port, listener.uid) == (free_port, os.getuid())
        assert sockets.holder(listener.inode, [1, os.getpid()]) == os.getpid()
        assert sockets.holder(listener.inode, [2**22 + 1]) is None
        assert f"pid {os.getpid()} (" in str(sockets.describe_holder(free_port))
    assert sockets.listeners(free_port) == []


def test_ipv6_is_seen_too(free_port: int) -> None:
    with socket.create_server(("::1", free_port), family=socket.AF_INET6):
        assert len(sockets.listeners(free_port)) == 1


def test_a_connection_is_no_listener(free_port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", free_port)),
        socket.create_connection(("127.0.0.1", free_port)) as client,
    ):
        assert sockets.listeners(client.getsockname()[1]) == []
        assert len(sockets.listeners(free_port)) == 1


def test_a_command_line_is_short_enough_for_a_message() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()", "x" * 500], stdin=subprocess.PIPE)
    # Until it has called exec, a child shows its parent's command line.
    wait_for(lambda: "xxx" in sockets.command_line(process.pid), "the child's own command line")
    wait_for(lambda: "xxx" in sockets.command_line(process.pid), "exec")
    line = sockets.command_line(process.pid)
    process.communicate(b"\n")
    assert len(line) == 120
    assert line.endswith("...")
    assert sockets.command_line(process.pid) == "gone"


def test_how_a_client_here_reaches_a_server() -> None:
    hosts = ("0.0.0.0", "::", "", "127.0.0.1", "::1", "10.0.0.1")
    assert [sockets.reachable(address) for address in hosts] == [
        "127.0.0.1", "::1", "127.0.0.1", "127.0.0.1", "::1", "10.0.0.1",
    ]  # fmt: skip
