"""One HTTP request over plain TCP, whole within a deadline.

`http.client` brings the parser of e-mail: half of the time in which `status` answers, and two
megabytes of a keeper that lives for months. Its timeout bounds each wait, so that a server which
sends a byte now and then is waited for without an end; here the deadline is of the whole answer.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

LONGEST_LINE = 64 * 1024
MOST_LINES = 200
"""Header lines and interim answers that are read."""
PIECE = 64 * 1024


class NotHttpError(OSError):
    """What came is not an HTTP answer, or ended before its end."""


def request(
    address: str,
    port: int,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    timeout: float,
    limit: int,
) -> tuple[int, dict[str, str], bytes]:
    """The status, the header (names in lower case) and the body.

    `timeout` in seconds bounds it all; a body of more than `limit` bytes is an error.

    Raises:
        OSError: no connection, no whole answer in time (TimeoutError), or none of HTTP.
    """
    host = f"[{address}]" if ":" in address else address
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    if " " in path or not all(line.isascii() and line.isprintable() for line in lines):
        raise NotHttpError(f"{path!r} or a header cannot be sent")
    head = "\r\n".join([*lines, "", ""]).encode("ascii")
    deadline = time.monotonic() + timeout
    with socket.create_connection((address, port), timeout=timeout) as connection:
        connection.sendall(head + body)
        answer = _Answer(connection, deadline)
        status = answer.status()
        fields = answer.fields()
        while 100 <= status < 200 and status != 101:
            status, fields = answer.status(), answer.fields()
        if method == "HEAD" or status in (101, 204, 304):
            return status, fields, b""
        length = fields.get("content-length", "")
        if "chunked" in fields.get("transfer-encoding", "").lower():
            content = answer.chunks(limit)
        elif length.isascii() and length.isdigit():
            content = answer.exactly(int(length[:18]), limit)
        else:
            content = answer.to_the_end(limit)
        return status, fields, content


class _Answer:
    """What comes over a connection, read up to a deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._rest = bytearray()
        self._lines = 0

    def status(self) -> int:
        """The status of the next answer."""
        line = self._line()
        version, _, rest = line.partition(b" ")
        code = rest.strip()[:3]
        if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
            excerpt = line[:60].decode("ascii", "backslashreplace")
            raise NotHttpError(f"the answer is not HTTP: {excerpt!r}")
        return int(code)

    def fields(self) -> dict[str, str]:
        """The header of the answer, names in lower case."""
        headers_read: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(b":")
            headers_read[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
        return headers_read

    def exactly(self, size: int, limit: int) -> bytes:
        """So many bytes."""
        _refuse_more(size, limit)
        while len(self._rest) < size:
            self._more()
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken

    def chunks(self, limit: int) -> bytes:
        """The pieces of a chunked body, its trailers read to their end."""
        body = bytearray()
        while True:
            self._lines = 0
            line = self._line().partition(b";")[0].strip()
            try:
                size = int(line[:16], 16)
            except ValueError:
                size = -1
            if size < 0:
                raise NotHttpError("the answer has a broken chunk")
            if size == 0:
                self.fields()
                return bytes(body)
            body += self.exactly(size, limit - len(body))
            self._line()

    def to_the_end(self, limit: int) -> bytes:
        """Everything up to the end of the connection."""
        while self._read():
            _refuse_more(len(self._rest), limit)
        _refuse_more(len(self._rest), limit)
        return bytes(self._rest)

    def _line(self) -> bytes:
        self._lines += 1
        if self._lines > MOST_LINES:
            raise NotHttpError("the answer has too many header lines")
        while b"\n" not in self._rest and len(self._rest) <= LONGEST_LINE:
            self._more()
        line, _, rest = self._rest.partition(b"\n")
        if len(line) > LONGEST_LINE:
            raise NotHttpError("the answer has a line that is too long")
        self._rest = rest
        return bytes(line).rstrip(b"\r")

    def _more(self) -> None:
        if not self._read():
            raise NotHttpError("the server closed the connection before the end of its answer")

    def _read(self) -> bool:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        piece = self._connection.recv(PIECE)
        self._rest += piece
        return bool(piece)


def _refuse_more(size: int, limit: int) -> None:
    if size > limit:
        raise NotHttpError("the answer has more bytes than are read")
