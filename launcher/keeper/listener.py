"""Takes clients of a listening socket, also where no descriptor is left for them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from launcher.keeper.loop import Loop

PAUSE = 0.2
"""Seconds until the next try to accept where no descriptor was left."""
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """Hands each client to `take`; calls `make_room` where the descriptors are used up."""

    def __init__(
        self,
        loop: Loop,
        listening: socket.socket,
        take: Callable[[socket.socket], None],
        make_room: Callable[[], None],
    ) -> None:
        """Begin to accept; `listening` listens already and does not block."""
        self._loop = loop
        self._socket = listening
        self._take = take
        self._make_room = make_room
        loop.add_reader(listening.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            accepted, _ = self._socket.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                self._make_room()
                self._pause()
            return  # else there is nothing to accept any more
        accepted.setblocking(False)
        self._take(accepted)

    def _pause(self) -> None:
        """Who waits to be accepted would wake the loop again at once, for as long as it waits."""
        self._loop.remove_reader(self._socket.fileno())

        def go_on() -> None:
            if self._socket.fileno() >= 0:
                self._loop.add_reader(self._socket.fileno(), self._accept)

        self._loop.call_later(PAUSE, go_on)

    def close(self) -> None:
        """Stop listening; who was accepted stays."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
