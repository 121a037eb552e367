"""The HTTP server on a loop: clients that are slow, many, rude or wrong delay no other client."""

from __future__ import annotations

import errno
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from launcher.keeper import listener
from launcher.keeper.admin import server as server_module
from launcher.keeper.admin.http import LONGEST_HEAD, Request, Response
from launcher.keeper.admin.server import MOST_CONNECTIONS, HttpServer
from launcher.keeper.listener import Listener
from launcher.keeper.loop import Loop
from tests.support.waiting import wait_for

GET = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Serving:
    """A server on a loop in a thread of its own."""

    def __init__(self) -> None:
        self.body = "it is well\n"
        self.defect: Exception | None = None
        self.turns = 0
        self._ended = threading.Event()
        self.loop = Loop()
        self.http = HttpServer(self.loop, self._answer)
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.port: int = listening.getsockname()[1]
        self._listener = Listener(
            self.loop, listening, self.http.take_client, self.http.drop_silent
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _answer(self, request: Request) -> Response:
        if self.defect is not None:
            raise self.defect
        if request.method not in ("GET", "HEAD"):
            return Response(405, "no\n")
        return Response(200 if request.path == "/page" else 404, self.body)

    def _run(self) -> None:
        def over() -> bool:
            self.turns += 1
            return self._ended.is_set()

        self.loop.run_until(over)
        self._listener.close()
        self.http.close()

    def connect(self) -> socket.socket:
        """A client."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=600)

    def get(self) -> bytes:
        """What a client of its own is answered now."""
        with closing(self.connect()) as client:
            client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            return everything(client)

    def close(self) -> None:
        self._ended.set()
        self.loop.call_soon(lambda: None)
        self._thread.join()


def everything(client: socket.socket) -> bytes:
    """What a client receives until the end."""
    parts: list[bytes] = []
    while True:
        try:
            data = client.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            return b"".join(parts)
        parts.append(data)


def drip(client: socket.socket) -> None:
    """Send a request that has no end, byte by byte."""
    for _ in range(LONGEST_HEAD - 1):
        client.sendall(b"x")
        time.sleep(0.005)


@pytest.fixture
def serving() -> Iterator[Serving]:
    one = Serving()
    yield one
    one.close()


@contextmanager
def deadlines(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in {"SWEEP": 0.02, **seconds}.items():
            patch.setattr(server_module, name, value)
        yield


def test_a_connection_is_kept_for_further_requests(serving: Serving) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", serving.port)) as client:
        for path, status in (("/page", 200), ("/other", 404), ("/page", 200)):
            client.request("GET", path)
            response = client.getresponse()
            assert (response.status, response.read()) == (status, b"it is well\n")
        client.request("HEAD", "/page")
        response = client.getresponse()
        assert (response.status, response.read()) == (200, b"")
        assert response.headers["Content-Length"] == "11"
        client.request("GET", "/page", headers={"Connection": "close"})
        response = client.getresponse()
        assert response.headers["Connection"] == "close"


def test_requests_sent_at_once_are_answered_in_order(serving: Serving) -> None:
    with closing(serving.connect()) as client:
        client.sendall(GET + b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
        answer = everything(client)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"x" * 10 * LONGEST_HEAD, b"431"),
        (b"POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999, b"405"),
        (b"DELETE /page HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
    ],
)
def test_a_wrong_client_gets_its_whole_answer_and_the_end(
    serving: Serving, data: bytes, status: bytes
) -> None:
    with closing(serving.connect()) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = everything(client)
    assert answer.split(b" ")[1] == status
    assert b"Connection: close" in answer
    assert serving.get().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("first", [b"", b"G", GET[:-2]], ids=["silent", "a byte", "almost all"])
def test_a_request_that_does_not_come_to_its_end_is_given_up(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    with deadlines(monkeypatch, HEAD_DEADLINE=0.2), closing(serving.connect()) as client:
        client.sendall(first)
        assert everything(client) == b""


def test_dripping_does_not_prolong_a_request(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deadlines(monkeypatch, HEAD_DEADLINE=0.3), closing(serving.connect()) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            drip(client)
        assert serving.get().startswith(b"HTTP/1.1 200")


def test_a_kept_connection_that_is_idle_is_closed(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with deadlines(monkeypatch, IDLE_DEADLINE=0.2), closing(serving.connect()) as client:
        client.sendall(GET)
        assert everything(client).count(b"HTTP/1.1 200") == 1


def test_a_client_that_takes_no_answer_is_dropped_and_holds_up_no_other(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.body = "x" * 10_000_000  # more than the kernel's buffers take
    with deadlines(monkeypatch, SEND_DEADLINE=0.3), closing(serving.connect()) as client:
        client.sendall(GET)
        time.sleep(0.05)
        serving.body = "it is well\n"
        assert serving.get().startswith(b"HTTP/1.1 200")
        wait_for(lambda: not serving.http._connections, "the end of its connection")
        assert len(everything(client)) < 10_000_000


def test_a_large_answer_arrives_whole(serving: Serving) -> None:
    serving.body = "x" * 5_000_000
    assert serving.get().endswith(b"\r\n\r\n" + b"x" * 5_000_000)


def test_too_many_connections_make_room_for_new_ones(serving: Serving) -> None:
    clients = [serving.connect() for _ in range(3 * MOST_CONNECTIONS)]
    try:
        assert serving.get().startswith(b"HTTP/1.1 200")
        assert len(serving.http._connections) <= MOST_CONNECTIONS
        assert everything(clients[0]) == b"", "the one that was silent for the longest time"
    finally:
        for client in clients:
            client.close()


def test_without_a_descriptor_it_makes_room_and_does_not_spin(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = serving.connect()
    wait_for(lambda: serving.http._connections, "its connection")
    with monkeypatch.context() as patch:
        accept = socket.socket.accept

        def refuse(one: socket.socket) -> tuple[socket.socket, object]:
            if threading.current_thread() is serving._thread:
                raise OSError(errno.EMFILE, "too many open files")
            return accept(one)

        patch.setattr(listener, "PAUSE", 0.1)
        patch.setattr(socket.socket, "accept", refuse)
        with closing(serving.connect()) as waiting:
            assert everything(first) == b""
            before = serving.turns
            time.sleep(0.5)
            assert serving.turns - before < 50
            patch.undo()
            waiting.sendall(GET)
            assert waiting.recv(100).startswith(b"HTTP/1.1 200")
    first.close()


def test_a_defect_of_a_page_is_an_answer_and_ends_nothing(
    serving: Serving, capsys: pytest.CaptureFixture[str]
) -> None:
    serving.defect = RuntimeError("a secret")
    answer = serving.get()
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"secret" not in answer
    serving.defect = None
    assert serving.get().startswith(b"HTTP/1.1 200")
    assert "RuntimeError: a secret" in capsys.readouterr().err


def test_many_requests_leave_no_timers_behind(serving: Serving) -> None:
    with closing(serving.connect()) as client:
        for _ in range(300):
            client.sendall(GET)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert len(serving.loop._timers) < 5


@pytest.mark.parametrize("hang_up", [socket.socket.close, None])
def test_clients_that_go_away_in_the_middle_leave_nothing(
    serving: Serving, hang_up: Callable[[socket.socket], None] | None
) -> None:
    for _ in range(50):
        client = serving.connect()
        client.sendall(GET[:10])
        if hang_up is None:  # a reset
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    wait_for(lambda: not serving.http._connections, "the end of all connections")
    assert serving.get().startswith(b"HTTP/1.1 200")
