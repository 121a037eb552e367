"""Who listens where, and what can be listened on, as the kernel says it."""

import errno
import os
import socket
from pathlib import Path

import pytest

from launcher.host import sockets

ROW = (
    "{n}: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 "
    " 1000        0 {inode} 1 x"
)
"""A row of net/tcp."""


def test_why_a_port_cannot_be_had(free_port: int) -> None:
    assert sockets.bind_error("127.0.0.1", free_port) is None
    with socket.create_server(("127.0.0.1", free_port)):
        taken = sockets.bind_error("127.0.0.1", free_port)
        everywhere = sockets.bind_error("0.0.0.0", free_port)
    assert taken is not None
    assert everywhere is not None
    assert taken.errno == everywhere.errno == errno.EADDRINUSE
    elsewhere = sockets.bind_error("192.0.2.1", free_port)
    assert elsewhere is not None
    assert elsewhere.errno == errno.EADDRNOTAVAIL


def test_a_port_that_was_just_closed_can_be_had(free_port: int) -> None:
    """Connections in TIME_WAIT do not count, as they do not for a server."""
    with socket.create_server(("127.0.0.1", free_port)) as server:
        client = socket.create_connection(("127.0.0.1", free_port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert sockets.bind_error("127.0.0.1", free_port) is None


def test_our_own_socket_is_found_and_named(free_port: int) -> None:
    assert sockets.listeners_on(free_port) == []
    assert sockets.describe_holder(free_port) is None
    with socket.create_server(("127.0.0.1", free_port)):
        (listener,) = sockets.listeners_on(free_port)
        assert (listener.port, listener.uid) == (free_port, os.getuid())
        assert sockets.holder(listener.inode, [1, os.getpid()]) == os.getpid()
        assert sockets.holder(listener.inode, [2**22 + 1]) is None
        assert f"pid {os.getpid()} (" in str(sockets.describe_holder(free_port))
    assert sockets.listeners_on(free_port) == []


def test_ipv6_is_seen_too(free_port: int) -> None:
    with socket.create_server(("::1", free_port), family=socket.AF_INET6):
        assert len(sockets.listeners_on(free_port)) == 1


def test_a_connection_is_no_listener(free_port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", free_port)),
        socket.create_connection(("127.0.0.1", free_port)) as client,
    ):
        assert sockets.listeners_on(client.getsockname()[1]) == []
        assert len(sockets.listeners_on(free_port)) == 1


def test_how_a_client_here_reaches_a_server() -> None:
    hosts = ("0.0.0.0", "::", "", "127.0.0.1", "::1", "10.0.0.1")
    assert [sockets.reachable(address) for address in hosts] == [
        "127.0.0.1", "::1", "127.0.0.1", "127.0.0.1", "::1", "10.0.0.1",
    ]  # fmt: skip


def test_a_table_is_read_however_long_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").mkdir()
    rows = ["  sl  local_address rem_address   st"]
    rows += [ROW.format(n=n, address="0100007F", port=n, state="01", inode=n) for n in range(9000)]
    rows.append(ROW.format(n=1, address="0100007F", port=8180, state="0A", inode=77))
    rows.append("cut off")
    (tmp_path / "net/tcp").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(sockets, "PROC", str(tmp_path))
    assert sockets.listeners() == (sockets.Listener("127.0.0.1", 8180, 77, 1000),)
    assert sockets.unix_sockets() == [], "a kernel without that table"


def test_addresses_are_in_the_order_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net").mkdir()
    loopback = "00000000000000000000000001000000"
    text = "head\n" + ROW.format(n=0, address=loopback, port=1, state="0A", inode=5) + "\n"
    (tmp_path / "net/tcp6").write_text(text)
    monkeypatch.setattr(sockets, "PROC", str(tmp_path))
    assert sockets.listeners() == (sockets.Listener("::1", 1, 5, 1000),)


@pytest.mark.parametrize("name", ["plain", "two words", "end ", "carriage\rreturn", "\udcff", "ä"])
def test_a_unix_socket_is_found_by_its_path(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        matches = [one for one in sockets.unix_sockets() if one.path == path]
        assert len(matches) == 1
        assert sockets.holder(matches[0].inode, [os.getpid()]) == os.getpid()
        assert sockets.holder(matches[0].inode, [1] if os.getpid() != 1 else []) is None
    assert path not in [one.path for one in sockets.unix_sockets()]


def test_several_sockets_have_one_look_at_each_process(free_port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        inodes = {os.stat(f"/proc/self/fd/{s.fileno()}").st_ino for s in (one, two)}
        me = os.getpid()
        assert sockets.owners(inodes, iter([me, 2**22 + 1])) == dict.fromkeys(inodes, me)
        assert sockets.owners({*inodes, 1}, [me]) == dict.fromkeys(inodes, me)
        assert sockets.owners([], [me]) == {}
