"""Clients are accepted as soon as there is a descriptor for them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from launcher.keeper.listener import Listener
from launcher.keeper.loop import Loop
from tests.support.descriptors import no_descriptor_left


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that listens and does not block."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_a_client_is_accepted_and_does_not_block(listening: socket.socket) -> None:
    loop = Loop()
    clients: list[socket.socket] = []
    listener = Listener(loop, listening, clients.append, lambda: None)
    with socket.create_connection(listening.getsockname()):
        assert loop.run_until(lambda: bool(clients), 60)
    assert not clients[0].getblocking()
    clients[0].close()
    listener.close()


def test_a_client_waits_until_a_descriptor_is_free(listening: socket.socket) -> None:
    loop = Loop()
    clients: list[socket.socket] = []
    shortages: list[int] = []
    with socket.create_connection(listening.getsockname()), ExitStack() as shortage:

        def make_room() -> None:
            shortages.append(1)
            shortage.close()

        listener = Listener(loop, listening, clients.append, make_room)
        shortage.enter_context(no_descriptor_left())
        assert loop.run_until(lambda: bool(clients), 60)
    assert len(shortages) == 1
    clients[0].close()
    listener.close()


def test_a_client_that_waits_does_not_wake_the_loop_at_once_again(
    listening: socket.socket,
) -> None:
    loop = Loop()
    shortages: list[int] = []
    clients: list[socket.socket] = []
    with socket.create_connection(listening.getsockname()):
        listener = Listener(loop, listening, clients.append, lambda: shortages.append(1))
        with no_descriptor_left():
            assert not loop.run_until(lambda: len(shortages) == 3, 0.25), "once in 0.2 s"
        assert shortages
        listener.close()
        assert not loop.run_until(lambda: bool(clients), 0.25), "closed in the pause, it stays so"
