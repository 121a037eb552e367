"""The keeper's end of its socket; the protocol is told in `launcher.keeper.control`.

Nothing that a client does may hold up the keeper or another client: each connection gets one
answer per turn of the loop, is not read while answers to it wait, and makes room for a newer one
when there are too many.
"""

from __future__ import annotations

import collections
import json
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from launcher import files
from launcher.json_values import JsonObject, object_at
from launcher.keeper.control import PROTOCOL, SOCKET
from launcher.keeper.folder_socket import FolderSocket
from launcher.keeper.loop import Loop

LONGEST_REQUEST = 64 * 1024
REMEMBERED = 128 * 1024
"""Bytes of the last events, kept for those who come late: what a socket takes at once (a reader
that has just come cannot have read any of it). The whole history is in events.jsonl."""
LONGEST_DELAY = 256 * 1024
"""Bytes that wait for a slow reader before it is hung up on."""
MOST_CONNECTIONS = 64
"""More are not needed; the one that was silent for the longest time makes room."""
LAST_WORDS = 1.0
"""Seconds in which, at the end, readers may take what still waits for them."""

Handler = Callable[[JsonObject], JsonObject]


class _Connection:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.incoming = b""
        self.outgoing = bytearray()
        self.follows = False
        self.heard = time.monotonic()

    @property
    def has_request(self) -> bool:
        return b"\n" in self.incoming


class Server:
    """Listens in an instance's folder."""

    def __init__(self, loop: Loop, folder: Path, handler: Handler) -> None:
        """Listen in `folder`; `handler` answers each request.

        Raises:
            OSError: the socket cannot be made.
        """
        self._loop = loop
        self._handler = handler
        self._connections: list[_Connection] = []
        self._past: collections.deque[bytes] = collections.deque()
        self._past_size = 0
        self._socket = FolderSocket(loop, folder, SOCKET, self._take, self._make_room)

    def in_place(self) -> bool:
        """True while the socket that clients find in the folder is the one we listen on."""
        return self._socket.in_place()

    def listen_again(self) -> None:
        """Make the socket anew after it was removed or replaced; connections stay.

        Raises:
            OSError: it cannot be made now; the old one is listened on further.
        """
        self._socket.listen_again()

    # -- connections ------------------------------------------------------------------------

    def _take(self, accepted: socket.socket) -> None:
        if len(self._connections) >= MOST_CONNECTIONS:
            self._drop_silent()
        connection = _Connection(accepted)
        self._connections.append(connection)
        self._listen_to(connection)

    def _drop_silent(self) -> None:
        self._drop(min(self._connections, key=lambda one: (one.follows, one.heard)))

    def _make_room(self) -> None:
        if self._connections:
            self._drop_silent()

    def _listen_to(self, connection: _Connection) -> None:
        self._loop.add_reader(connection.socket.fileno(), lambda: self._readable(connection))

    def _readable(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.incoming += data
        connection.heard = time.monotonic()
        too_long = len(connection.incoming) > LONGEST_REQUEST and not connection.has_request
        if not data or too_long:
            self._drop(connection)
        elif connection.has_request:
            # What is sent meanwhile waits in the kernel, which halts a client that sends too much.
            self._loop.remove_reader(connection.socket.fileno())
            self._loop.call_soon(lambda: self._take_turn(connection))

    def _take_turn(self, connection: _Connection) -> None:
        """Answer one request, and let the others have their turn before the next."""
        if connection not in self._connections or connection.outgoing:
            return
        if not connection.has_request:
            self._listen_to(connection)
            return
        line, _, connection.incoming = connection.incoming.partition(b"\n")
        self._answer(connection, line)
        self._loop.call_soon(lambda: self._take_turn(connection))

    def _answer(self, connection: _Connection, line: bytes) -> None:
        try:
            request = object_at(json.loads(line))
        except (ValueError, RecursionError):
            request = {}
        try:
            answer: JsonObject = self._handler(request)
        except Exception as error:  # a request that we do not understand must not end an engine
            traceback.print_exc()
            answer = {"ok": False, "error": f"a defect of the keeper: {error!r}"}
        self._send(connection, _encoded({"v": PROTOCOL, **answer}))
        if request.get("op") == "follow" and not connection.follows:
            connection.follows = True
            # In one piece: the kernel counts some 800 bytes for each, however short it is.
            self._send(connection, b"".join(self._past))

    def _send(self, connection: _Connection, data: bytes) -> None:
        if connection not in self._connections:
            return
        waiting = bool(connection.outgoing)
        connection.outgoing += data
        if not waiting:
            self._flush(connection)
            if connection.outgoing:
                descriptor = connection.socket.fileno()
                self._loop.add_writer(descriptor, lambda: self._writable(connection))
        if len(connection.outgoing) > LONGEST_DELAY:
            self._drop(connection)  # so slow that events.jsonl is the better source

    def _flush(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.outgoing)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)
            return
        del connection.outgoing[:sent]

    def _writable(self, connection: _Connection) -> None:
        self._flush(connection)
        if connection in self._connections and not connection.outgoing:
            connection.heard = time.monotonic()
            self._loop.remove_writer(connection.socket.fileno())
            self._take_turn(connection)

    def _drop(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            connection.outgoing.clear()
            self._loop.remove_reader(connection.socket.fileno())
            self._loop.remove_writer(connection.socket.fileno())
            connection.socket.close()

    # -- events -----------------------------------------------------------------------------

    def publish(self, event: JsonObject) -> None:
        """Send an event to every follower, and keep it for later ones."""
        data = _encoded(event)
        self._past.append(data)
        self._past_size += len(data)
        while self._past_size > REMEMBERED and len(self._past) > 1:
            self._past_size -= len(self._past.popleft())
        for connection in list(self._connections):
            if connection.follows:
                self._send(connection, data)

    def close(self) -> None:
        """Stop listening and end all connections; the clients see the end."""
        end = time.monotonic() + LAST_WORDS
        for connection in list(self._connections):
            while connection.outgoing and (left := end - time.monotonic()) > 0:
                files.wait_until_ready(connection.socket.fileno(), left, writing=True)
                self._flush(connection)
            self._drop(connection)
        self._socket.close()


def _encoded(message: JsonObject) -> bytes:
    return (json.dumps(message) + "\n").encode()
