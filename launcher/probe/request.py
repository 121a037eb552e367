"""One HTTP request to a server on this machine, bounded in time and size as a whole.

The keeper asks with it for months, so it is `http.client` and a socket. A time-out of a socket
bounds one wait; here every read and write gets what is left of the request's whole time, and the
bytes are counted, headers and all.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.probe.bounded_json import loads
from launcher.probe.sockets import reachable

LARGEST_ANSWER = 4 << 20
"""Bytes of an answer that are read at most; more is an error."""
PIECE = 65_536


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `seconds` from sending to the last byte, `at` is monotonic time then."""

    status: int
    body: bytes
    seconds: float
    at: float

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is not, or it is nested too deeply or too large.
        """
        return loads(self.body, strict=False)


def ask(
    address: str,
    port: int,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    key: str | None = None,
    timeout: float = 10.0,
) -> Answer:
    """Send one HTTP request and read its answer, all of it within `timeout` seconds.

    Raises:
        OSError: no connection; TimeoutError, a kind of it: no whole answer in time.
        http.client.HTTPException: the answer is not HTTP, cut off, or too large.
    """
    headers = {"Accept": "application/json", "Connection": "close"}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if key:
        headers["Authorization"] = f"Bearer {key}"
    started = time.monotonic()
    where = reachable(address)
    connection = http.client.HTTPConnection(where, port, timeout=timeout)
    try:
        connection.sock = _connected(where, port, started + timeout)
        connection.request("POST" if data is not None else "GET", path, data, headers)
        response = connection.getresponse()
        content = _content(response)
        ended = time.monotonic()
        return Answer(response.status, content, ended - started, ended)
    except TimeoutError:
        raise TimeoutError(f"no whole answer within {timeout:g} s") from None
    except ValueError as error:  # what http.client did not think of, and bounds of ours
        raise http.client.HTTPException(str(error)) from error
    finally:
        connection.close()


def _content(response: http.client.HTTPResponse) -> bytes:
    encoding = response.getheader("content-encoding") or ""
    pieces = _pieces(response)
    if encoding.strip().lower() not in ("", "identity"):
        # Not asked for, and rare: the keeper does without zlib until then.
        from launcher.probe.decoding import decoded

        pieces = decoded(pieces, encoding, LARGEST_ANSWER)
    content = b"".join(pieces)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return content


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := response.read1(PIECE):
        yield piece


def _connected(address: str, port: int, end: float) -> _Bounded:
    plain = socket.create_connection((address, port), max(0.001, end - time.monotonic()))
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Bounded(plain, end)
    finally:
        plain.close()


class _Bounded(socket.socket):
    """A socket that ends at a moment of the monotonic clock, and after so many bytes."""

    def __init__(self, connected: socket.socket, end: float) -> None:
        super().__init__(fileno=connected.detach())
        self._end = end
        self._room = LARGEST_ANSWER + PIECE

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._arm()
        count = super().recv_into(*args, **kwargs)
        self._room -= count
        if self._room < 0:
            raise http.client.HTTPException(f"an answer of more than {LARGEST_ANSWER} bytes")
        return count

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._arm()
        super().sendall(*args, **kwargs)

    def _arm(self) -> None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
