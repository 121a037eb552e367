"""The probe's HTTP: what servers send in every legal form, and what hostile ones send instead."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from launcher.probe.http import MOST_LINES, NotHttpError, request


@contextmanager
def answering(*pieces: bytes, pause: float = 0.0, forever: bool = False) -> Iterator[int]:
    """A server that sends these pieces to every client, whatever was asked; yields its port."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(600)
                    try:
                        connection.recv(65536)
                        for piece in pieces:
                            connection.sendall(piece)
                            stop.wait(pause)
                        while forever and not stop.is_set():
                            connection.sendall(pieces[-1])
                            stop.wait(pause)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def answer(body: bytes, status: int = 200, **headers: str) -> bytes:
    """A whole answer with its length; `content_encoding` is the header Content-Encoding."""
    named = {"Content-Length": str(len(body))}
    named |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask(port: int, *, timeout: float = 20.0, path: str = "/") -> tuple[int, bytes]:
    status, _, body = request("127.0.0.1", port, "GET", path, {}, timeout=timeout, limit=1000)
    return status, body


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok and more", (200, b"ok")),
        (b"HTTP/1.0 404 Not Found\n\nto the end", (404, b"to the end")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2;x=y\r\nok\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
            (200, b"ok0123456789"),
        ),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (304, b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5\r\n\r\n", (101, b"")),
        (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 1\r\n\r\nx", (205, b"x")),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            (200, b"x"),
        ),
    ],
)
def test_an_answer_is_read_in_every_form(answer: bytes, expected: tuple[int, bytes]) -> None:
    with answering(answer) as port:
        assert ask(port) == expected
    with answering(*(bytes([byte]) for byte in answer[:300]), answer[300:]) as port:
        assert ask(port) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"y" * 5000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + b"y" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n" + b"y" * 5000,
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
        b"\x00\xff" * 100,
    ],
)
def test_what_is_no_answer_is_an_error_that_is_expected(answer: bytes) -> None:
    with answering(answer) as port, pytest.raises(OSError):  # noqa: PT011 - also a reset
        ask(port)


def test_a_header_of_as_many_lines_as_are_read() -> None:
    """The status and the empty line count too."""
    status, field, end = b"HTTP/1.1 204 No Content\r\n", b"a: b\r\n", b"\r\n"
    with answering(status + field * (MOST_LINES - 2) + end) as port:
        assert ask(port) == (204, b"")
    with (
        answering(status + field * (MOST_LINES - 1) + end) as port,
        pytest.raises(NotHttpError, match="too many header lines"),
    ):
        ask(port)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"H",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
)
def test_a_byte_now_and_then_does_not_extend_the_deadline(pieces: tuple[bytes, ...]) -> None:
    with answering(*pieces, pause=0.05, forever=True) as port:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            ask(port, timeout=0.5)
        assert time.monotonic() - began < 10


def test_a_flood_does_not_extend_the_deadline() -> None:
    flood = (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
    with answering(*flood, forever=True) as port, pytest.raises(TimeoutError):
        request("127.0.0.1", port, "GET", "/", {}, timeout=0.3, limit=1 << 40)


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/\x00", "/ä"])
def test_a_path_that_would_be_more_than_a_path_is_not_sent(path: str) -> None:
    with answering(b"") as port, pytest.raises(NotHttpError):
        ask(port, path=path)


def test_nobody_listens(free_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        ask(free_port)


def sent(method: str, path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of one request as they arrive."""
    arrived: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                data = b""
                while b"\r\n\r\n" not in data or not data.endswith(body):
                    data += connection.recv(65536)
                arrived.append(data)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        request("127.0.0.1", port, method, path, headers, body, timeout=600, limit=100)
        thread.join()
    return arrived[0].replace(str(port).encode(), b"PORT")


def test_a_request_byte_for_byte() -> None:
    """A body without its length would be the next request."""
    head = b" HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n"
    assert sent("GET", "/health", b"") == b"GET /health" + head + b"\r\n"
    assert sent("POST", "/v1", b"", Accept="*/*") == (
        b"POST /v1" + head + b"Accept: */*\r\nContent-Length: 0\r\n\r\n"
    )
    assert sent("POST", "/v1", b"{1}") == b"POST /v1" + head + b"Content-Length: 3\r\n\r\n{1}"
