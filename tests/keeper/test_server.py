"""The keeper's end of its socket, in a loop that turns only when the test lets it."""

import fcntl
import json
import socket
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.json_values import JsonObject
from launcher.keeper.loop import Loop
from launcher.keeper.server import LONGEST_REQUEST, Server


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def client(loop: Loop, tmp_path: Path) -> Iterator[socket.socket]:
    """A client of a server that says how long each request was."""

    def answer(request: JsonObject) -> JsonObject:
        return {"length": len(str(request["text"]))}

    server = Server(loop, tmp_path, answer)
    with socket.socket(socket.AF_UNIX) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LONGEST_REQUEST)
        client.connect(str(tmp_path / "control.sock"))
        yield client
    server.close()


def unread_bytes(client: socket.socket) -> int:
    """What the server has not taken from the kernel yet."""
    count: int = struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, b"\0" * 4))[0]
    return count


@pytest.mark.parametrize("excess", [0, 1])
def test_a_request_has_64_kib_at_most(loop: Loop, client: socket.socket, excess: int) -> None:
    request = json.dumps({"text": ""}).replace('""', '"%s"')
    text = "x" * (LONGEST_REQUEST + excess - len(request % ""))
    client.sendall((request % text).encode())
    assert loop.run_until(lambda: unread_bytes(client) == 0, 60)
    client.setblocking(False)
    if excess:
        assert client.recv(100) == b"", "it hangs up on who may never come to an end"
        return
    client.sendall(b"\n")
    answers: list[bytes] = []
    loop.add_reader(client.fileno(), lambda: answers.append(client.recv(1000)))
    assert loop.run_until(lambda: bool(answers), 60)
    assert json.loads(answers[0])["length"] == len(text)
    loop.remove_reader(client.fileno())
