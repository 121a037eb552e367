"""Servers that are broken or mean, on real sockets: one behaviour a name, for every reader we have.

A behaviour gets the connection after the request was read, and writes what it likes until the
client has gone or the server is closed. What it sends is made as it is sent, so that an endless
body costs this side nothing.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"
EVENTS = b"Content-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
DRIP = 0.1
"""Seconds between two bytes: below every time-out of a single read."""


class Visit:
    """One connection: its request, and ways to answer it."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self.connection = connection
        self.closing = closing

    def read_request(self) -> bool:
        """Read the request; False where nothing came."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.connection.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        while len(body) < length:
            more = self.connection.recv(65536)
            if not more:
                return False
            body += more
        self.streams = b'"stream": true' in body or b'"stream":true' in body
        return True

    def send(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def drip(self, data: bytes) -> None:
        """A byte now and then."""
        for byte in data:
            self.send(bytes([byte]))
            if self.closing.wait(DRIP):
                return

    def for_ever(self, part: bytes, pause: float = 0.0) -> None:
        """The same bytes until somebody goes."""
        while not self.closing.is_set():
            self.send(part)
            if pause and self.closing.wait(pause):
                return

    def whole(self, body: bytes, *headers: bytes, status: bytes = OK) -> None:
        """A complete answer."""
        self.send(status, *headers, b"Content-Length: %d\r\n" % len(body), b"\r\n", body)

    def reset(self) -> None:
        """End with a RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Behaviour = Callable[[Visit], None]
BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(name: str) -> Callable[[Behaviour], Behaviour]:
    def add(function: Behaviour) -> Behaviour:
        BEHAVIOURS[name] = function
        return function

    return add


def answer(content: str = "Hello!") -> bytes:
    """An honest body of the chat route."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}}
    return json.dumps({"id": "1", "model": "m", "choices": [choice], "data": []}).encode()


def _bodies() -> dict[str, bytes]:
    deep_calls = b'{"data": [], "choices": [{"message": {"content": %s}}]}'
    return {
        "deep arrays": b"[" * 100_000,
        "deep arrays that end": b"[" * 100_000 + b"]" * 100_000,
        "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "depth below Python's limit": b'{"data":' + b"[" * 600 + b"]" * 600 + b"}",
        "deep content": deep_calls % (b"[" * 700 + b"]" * 700),
        "an integer of many digits": b'{"data": %s, "choices": 1}' % (b"9" * 100_000),
        "infinite numbers": b'{"data": [1e999, -1e999], "usage": {"prompt_tokens": 1e999}}',
        "NaN": b'{"data": NaN, "choices": Infinity}',
        "a key twice": b'{"choices": [], "data": [], "choices": [{}]}',
        "lone surrogates": answer("half \ud83d of a pair").replace(b'"m"', b'"m\\ud83d"'),
        "surrogates as a model": b'{"data": [{"id": "\\ud800\\u001b[2J`|<b>"}]}',
        "escape sequences": answer("\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m"),
        "invalid UTF-8": b'{"id": "\xff\xfe\x80", "data": [], "choices": []}',
        "UTF-16": '{"data": []}'.encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + answer(),
        "NUL bytes": b"\x00" * 10_000,
        "nothing": b"",
        "HTML": b"<html><head><title>502 Bad Gateway</title></head></html>",
        "a bare number": b"7",
        "null": b"null",
        "a list": b"[1, 2]",
        "wrong types": b'{"choices": {"0": 1}, "data": 7, "usage": [], "id": {}, "error": [[]]}',
        "wrong types within": b'{"choices": [7, null, {"message": 5, "index": "a"}], "data": [8]}',
        "types that cannot be hashed": b'{"choices": [{"finish_reason": [], "message": {"role": '
        b'{}, "content": [1], "tool_calls": [{"function": {"name": [], "arguments": {}}}]}}], '
        b'"model": [], "data": [{"id": {"a": []}}], "usage": {"prompt_tokens": true}}',
        "huge counts": b'{"choices": [], "usage": {"prompt_tokens": 1%s, "completion_tokens": '
        b'-5, "total_tokens": 0}, "data": [{"id": "m", "max_model_len": 1%s}]}'
        % (b"0" * 300, b"0" * 300),
    }


BODIES = _bodies()
for _name, _body in BODIES.items():
    BEHAVIOURS[f"body: {_name}"] = lambda visit, body=_body: visit.whole(body, JSON)
    BEHAVIOURS[f"event: {_name}"] = lambda visit, body=_body: visit.whole(
        b"data: " + body + b"\n\ndata: [DONE]\n\n", EVENTS
    )
    BEHAVIOURS[f"error: {_name}"] = lambda visit, body=_body: visit.whole(
        body, JSON, status=b"HTTP/1.1 500 \x1b[2J\r\n"
    )


# --- time -------------------------------------------------------------------------------------


@behaviour("silent")
def _(visit: Visit) -> None:
    visit.closing.wait()


@behaviour("a status line byte by byte")
def _(visit: Visit) -> None:
    visit.drip(b"HTTP/1.1 200 " + b"O" * 10_000)


@behaviour("a header byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, b"X-Slow: ")
    visit.for_ever(b"a", DRIP)


@behaviour("a header line now and then")
def _(visit: Visit) -> None:
    visit.send(OK)
    visit.for_ever(b"X-Slow: 1\r\n", DRIP * 3)


@behaviour("100 Continue now and then")
def _(visit: Visit) -> None:
    visit.for_ever(b"HTTP/1.1 100 Continue\r\n\r\n", DRIP)


@behaviour("a flood of 100 Continue")
def _(visit: Visit) -> None:
    visit.for_ever(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@behaviour("a flood of 103 Early Hints")
def _(visit: Visit) -> None:
    visit.for_ever(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000)


@behaviour("a body byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 100000\r\n\r\n")
    visit.for_ever(b" ", DRIP)


@behaviour("a body without a length byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Connection: close\r\n\r\n")
    visit.for_ever(b" ", DRIP)


@behaviour("chunks byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"1\r\n \r\n", DRIP)


@behaviour("a chunk's size byte by byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"0", DRIP)


@behaviour("trailers now and then")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n2\r\n{}\r\n0\r\n")
    visit.for_ever(b"X-More: 1\r\n", DRIP)


@behaviour("trailers without an end")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n2\r\n{}\r\n0\r\n")
    visit.for_ever(b"X-More: 1\r\n" * 1000)


@behaviour("an event stream of comments")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b": keep-alive\n\n", DRIP)


@behaviour("an event stream of pings")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b'event: ping\ndata: {"type": "ping"}\n\n', DRIP)


@behaviour("an error's body byte by byte")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 503 No\r\n", JSON, b"Content-Length: 100000\r\n\r\n")
    visit.for_ever(b" ", DRIP)


@behaviour("a whole body in a connection that stays open")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Connection: keep-alive\r\n\r\n", answer())
    visit.closing.wait()


# --- size -------------------------------------------------------------------------------------


@behaviour("an endless body")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Connection: close\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless body of a known length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 99999999999\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("endless chunks")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"10000\r\n" + b"a" * 65536 + b"\r\n")


@behaviour("endless chunks of a byte")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n")
    visit.for_ever(b"1\r\na\r\n" * 10_000)


@behaviour("one endless chunk")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\nFFFFFFFFFFFFFFFF\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless error")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 400 No\r\n", JSON, b"Connection: close\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless redirect")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nConnection: close\r\n\r\n")
    visit.for_ever(b"a" * 65536)


@behaviour("an endless header")
def _(visit: Visit) -> None:
    visit.send(OK, b"X-Long: ")
    visit.for_ever(b"a" * 65536)


@behaviour("endless headers")
def _(visit: Visit) -> None:
    visit.send(OK)
    visit.for_ever(b"X-Again: 1\r\n" * 1000)


@behaviour("long headers")
def _(visit: Visit) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (i, b"a" * 60_000) for i in range(90))
    visit.whole(answer(), JSON, lines)


@behaviour("an endless line of an event")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\ndata: ")
    visit.for_ever(b"a" * 65536)


@behaviour("an event of endless lines")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b"data: a\n" * 1000)


@behaviour("endless events")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b"data: {}\n\n" * 1000)


@behaviour("endless comments")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b": a\n\n" * 1000)


@behaviour("endless empty lines")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, b"\r\n")
    visit.for_ever(b"\n" * 10_000)


@functools.cache
def bomb(byte: bytes) -> bytes:
    """200 MiB of `byte` in some 200 KB of gzip."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(byte * (1 << 20)) for _ in range(200)) + packer.flush()


@behaviour("a gzip bomb")
def _(visit: Visit) -> None:
    visit.whole(bomb(b" "), JSON, b"Content-Encoding: gzip\r\n")


@behaviour("a gzip bomb of events")
def _(visit: Visit) -> None:
    visit.whole(bomb(b"\n"), EVENTS, b"Content-Encoding: gzip\r\n")


@behaviour("gzip in gzip in gzip in gzip")
def _(visit: Visit) -> None:
    body = answer()
    for _ in range(4):
        body = gzip.compress(body)
    visit.whole(body, JSON, b"Content-Encoding: gzip, gzip, gzip, gzip\r\n")


# --- shape ------------------------------------------------------------------------------------


@behaviour("gzip as it should be")
def _(visit: Visit) -> None:
    visit.whole(gzip.compress(answer()), JSON, b"Content-Encoding: gzip\r\n")


@behaviour("gzip that is none")
def _(visit: Visit) -> None:
    visit.whole(answer(), JSON, b"Content-Encoding: gzip\r\n")


@behaviour("gzip that is cut")
def _(visit: Visit) -> None:
    visit.whole(gzip.compress(answer())[:-12], JSON, b"Content-Encoding: gzip\r\n")


@behaviour("an unknown encoding")
def _(visit: Visit) -> None:
    visit.whole(answer(), JSON, b"Content-Encoding: br\x1b[2J\r\n")


@behaviour("closed at once")
def _(visit: Visit) -> None:
    pass


@behaviour("a reset")
def _(visit: Visit) -> None:
    visit.reset()


@behaviour("a reset within the headers")
def _(visit: Visit) -> None:
    visit.send(OK, JSON)
    visit.reset()


@behaviour("a reset within the body")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 1000\r\n\r\n{")
    visit.reset()


@behaviour("a body shorter than its length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 100000\r\n\r\n", answer())


@behaviour("a body longer than its length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 10\r\n\r\n", answer())


@behaviour("a length that is no number")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: many\r\n\r\n", answer())


@behaviour("a negative length")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: -5\r\n\r\n", answer())


@behaviour("a length of many digits")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", answer())


@behaviour("two lengths")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, b"Content-Length: 3\r\nContent-Length: 500\r\n\r\n", answer())


@behaviour("a length and chunks")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"Content-Length: 3\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


@behaviour("chunks that are none")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n", answer())


@behaviour("a chunk of negative size")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n-1\r\n", b"a" * 70_000)


@behaviour("chunks that are cut")
def _(visit: Visit) -> None:
    visit.send(OK, JSON, CHUNKED, b"\r\n50\r\n{")


@behaviour("events that are cut")
def _(visit: Visit) -> None:
    visit.send(OK, EVENTS, CHUNKED, b"\r\n5\r\ndata:\r\n")


@behaviour("HTTP/0.9")
def _(visit: Visit) -> None:
    visit.send(b"<html>hello</html>")


@behaviour("another protocol")
def _(visit: Visit) -> None:
    visit.send(b"SSH-2.0-OpenSSH_9.6\r\n" + b"\x16\x03\x01\x02\x00" * 100)


@behaviour("bytes without a meaning")
def _(visit: Visit) -> None:
    visit.send(bytes(range(256)) * 300)


@behaviour("a status that is no number")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 OK 200\r\n\r\n")


@behaviour("a status of many digits")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n")


@behaviour("status 999")
def _(visit: Visit) -> None:
    visit.whole(answer(), JSON, status=b"HTTP/1.1 999 No\r\n")


@behaviour("status 101")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05Hello")


@behaviour("status 204")
def _(visit: Visit) -> None:
    visit.send(b"HTTP/1.1 204 No Content\r\n\r\n")


@behaviour("headers without a colon")
def _(visit: Visit) -> None:
    visit.send(OK, b"no colon here\r\n: no name\r\n\x00: \x1b[2J\r\n \tfolded\r\n\r\n", answer())


@behaviour("headers beyond ASCII")
def _(visit: Visit) -> None:
    visit.whole(answer(), JSON, "X-Header: 你好 \x9b31m\r\n".encode())


@behaviour("a charset that nobody knows")
def _(visit: Visit) -> None:
    visit.whole(answer(), b"Content-Type: application/json; charset=\x1b-17\r\n")


@behaviour("a type that is none")
def _(visit: Visit) -> None:
    visit.whole(answer(), b"Content-Type: ;;;=,\x00\r\n")


@behaviour("a redirect to itself")
def _(visit: Visit) -> None:
    visit.whole(b"", b"Location: /v1/models\r\n", status=b"HTTP/1.1 307 Here\r\n")


@behaviour("a redirect to nowhere")
def _(visit: Visit) -> None:
    where = b"Location: http://[::bad\x1b[2J/" + b"a" * 5000 + b"\r\n"
    visit.whole(b"", where, status=b"HTTP/1.1 302 There\r\n")


@behaviour("a redirect to a file")
def _(visit: Visit) -> None:
    visit.whole(b"", b"Location: file:///etc/passwd\r\n", status=b"HTTP/1.1 301 There\r\n")


@behaviour("cookies")
def _(visit: Visit) -> None:
    lines = b"".join(
        b"Set-Cookie: a%d=%s; expires=Wed, 9999\r\n" % (i, b"b" * 500) for i in range(80)
    )
    visit.whole(answer(), JSON, lines)


class HostileServer:
    """Behaves in one way towards everybody."""

    def __init__(self, name: str) -> None:
        self._behave = BEHAVIOURS[name]
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listening.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.visits = 0
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def close(self) -> None:
        """Let everybody go, and wait until they have gone."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in [self._accepting, *self._threads]:
            thread.join(20)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._visit, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _visit(self, connection: socket.socket) -> None:
        self.visits += 1
        # A client that has stopped reading must not keep this thread.
        connection.settimeout(3)
        with connection, contextlib.suppress(OSError):
            visit = Visit(connection, self._closing)
            if visit.read_request():
                self._behave(visit)
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)


@contextmanager
def hostile(name: str) -> Iterator[HostileServer]:
    """A running server that behaves as `BEHAVIOURS[name]` does."""
    server = HostileServer(name)
    try:
        yield server
    finally:
        server.close()
