"""The keeper's socket: one JSON object a line, polite to strangers, deaf to nonsense."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import ExitCode
from launcher.json_values import JsonObject, JsonValue
from launcher.keeper import requests
from launcher.keeper.admin.probes import Answer
from launcher.keeper.control import Client
from launcher.keeper.loop import Loop
from launcher.keeper.server import MOST_CONNECTIONS, Server
from tests.support.decoded import JsonDict
from tests.support.waiting import wait_for


class Served:
    """A server whose loop runs in a thread, with the keeper's own answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stopped: list[tuple[str, ExitCode, float | None]] = []
        self.cost = 0.0
        self.defect: Exception | None = None
        self._ended = threading.Event()
        self.loop = Loop()
        self.server = Server(self.loop, folder, self._answer)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _answer(self, request: JsonObject) -> JsonObject:
        def stop(reason: str, code: ExitCode, drain: float | None) -> float:
            self.stopped.append((reason, code, drain))
            return 61.5

        if self.defect is not None:
            raise self.defect
        time.sleep(self.cost)
        return requests.answer(
            request, lambda: {"state": "ready"}, stop, lambda kind: Answer(True, f"it is {kind}")
        )

    def _run(self) -> None:
        self.loop.run_until(self._ended.is_set)
        self.server.close()

    def publish(self, **event: JsonValue) -> None:
        self.loop.call_soon(lambda: self.server.publish(event))

    def close(self) -> None:
        self._ended.set()
        self.loop.call_soon(lambda: None)
        self._thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path)
    yield server
    server.close()


@contextlib.contextmanager
def client(served: Served) -> Iterator[Client]:
    new_client = Client(served.folder)
    try:
        yield new_client
    finally:
        new_client.close()


def raw(served: Served, *lines: bytes) -> list[JsonDict]:
    """What the server answers to these bytes, one answer each."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(served.folder / "control.sock"))
        connection.settimeout(600)
        connection.sendall(b"".join(lines))
        file = connection.makefile("rb")
        with file:
            return [json.loads(file.readline()) for _ in lines]


def test_hello_and_status(served: Served) -> None:
    with client(served) as one:
        hello = one.request("hello")
        assert (hello["ok"], hello["v"], hello["pid"]) == (True, 1, os.getpid())
        assert one.request("status")["state"] == {"state": "ready"}


def test_the_socket_is_private(served: Served) -> None:
    assert (served.folder / "control.sock").stat().st_mode & 0o777 == 0o600


def test_an_unknown_operation_is_answered_with_those_that_are_known(served: Served) -> None:
    with client(served) as one:
        answer = one.request("dance", tempo="fast")
        assert answer["ok"] is False
        assert answer["ops"] == ["hello", "status", "probe", "stop", "follow"]


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{\n", b"[]\n", b"null\n", b"\xff\xfe\n", b'{"op": ["hello"]}\n', b"NaN\n",
     b"[" * 20_000 + b"\n"],
    ids=["empty", "torn", "list", "null", "no text", "op a list", "NaN", "nested"],
)  # fmt: skip
def test_garbage_is_answered_and_harms_nobody(served: Served, line: bytes) -> None:
    answers = raw(served, line, b'{"op": "hello"}\n')
    assert [answer["ok"] for answer in answers] == [False, True]


def test_a_request_without_an_end_is_hung_up_on(served: Served) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(served.folder / "control.sock"))
        connection.settimeout(600)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"x" * 1_000_000)
            assert connection.recv(10) == b""
    with client(served) as one:
        assert one.request("hello")["ok"]


@pytest.mark.parametrize(
    ("drain", "taken"),
    [
        (None, None),
        (5, 5.0),
        (-1, 0.0),
        (float("inf"), 1e6),
        (float("nan"), None),
        ("soon", None),
        (10**400, 1e6),
        (-(10**400), 0.0),
        (True, None),
        ([5], None),
    ],
)
def test_a_drain_becomes_a_number_a_timer_can_take(
    served: Served, drain: JsonValue, taken: float | None
) -> None:
    with client(served) as one:
        assert one.request("stop", drain=drain)["ok"]
    assert served.stopped == [("down", ExitCode.DONE, taken)]


def test_an_interrupt_is_told_from_a_down(served: Served) -> None:
    with client(served) as one:
        one.request("stop", reason="interrupted", interrupt=True)
    assert served.stopped == [("interrupted", ExitCode.INTERRUPTED, None)]


def test_who_follows_gets_the_past_and_what_comes(served: Served) -> None:
    served.publish(event="state", state="loading")
    with client(served) as one:
        assert one.request("follow")["ok"]
        events = one.events(60)
        assert next(events) == {"event": "state", "state": "loading"}
        served.publish(event="state", state="ready")
        assert next(events) == {"event": "state", "state": "ready"}
        served.close()
        assert list(events) == []


def test_a_follower_can_be_woken_without_losing_a_line(served: Served) -> None:
    read, write = os.pipe()
    with client(served) as one:
        one.request("follow")
        events = one.events(60, wake=read)
        os.write(write, b"x")
        assert next(events) is None
        served.publish(event="late")
        assert next(events) == {"event": "late"}
    os.close(read)
    os.close(write)


def test_a_slow_follower_is_let_go_and_the_others_are_not_held_up(served: Served) -> None:
    with client(served) as slow, client(served) as quick:
        slow.request("follow")
        quick.request("follow")
        events = quick.events(60)
        for number in range(400):
            served.publish(event="phase", number=number, text="x" * 2000)
            assert (next(events) or {})["number"] == number
        received = list(slow.events(60))
        assert len(received) < 400, "it had to be hung up on"
        assert [event["number"] for event in received if event] == list(range(len(received)))


def test_nothing_for_too_long(served: Served) -> None:
    with client(served) as one:
        one.request("follow")
        with pytest.raises(TimeoutError):
            next(one.events(0.05))


def test_the_socket_may_lie_deeper_than_a_sockets_path_is_long(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    assert len(str(folder)) > 200
    served = Served(folder)
    try:
        with client(served) as one:
            assert one.request("hello")["ok"]
    finally:
        served.close()
    assert list(folder.iterdir()) == []


def test_a_socket_of_a_dead_keeper_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with pytest.raises(ConnectionRefusedError):
        Client(tmp_path)
    served = Served(tmp_path)
    with client(served) as one:
        assert one.request("hello")["ok"]
    served.close()
    with pytest.raises(FileNotFoundError):
        Client(tmp_path)


def test_many_clients_come_and_go(served: Served) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        with client(served) as one:
            one.request("hello")
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before, "all descriptors closed")


def test_who_comes_late_gets_a_long_past_without_being_hung_up_on(served: Served) -> None:
    """A load with progress bars tells hundreds of short events before anybody else looks."""
    for number in range(5000):
        served.publish(event="phase", number=number)
    with client(served) as late, client(served) as second:
        assert late.request("follow")["ok"]
        assert second.request("hello")["ok"]  # by now all of the past was sent, and nothing read
        served.publish(event="last")
        numbers = []
        for event in late.events(60):
            assert event is not None
            if event["event"] == "last":
                break
            numbers.append(event["number"])
        assert numbers == list(range(5000 - len(numbers), 5000))
        assert len(numbers) > 1000


def test_a_wait_may_be_longer_than_poll_can_count(served: Served) -> None:
    with client(served) as one:
        one.request("follow")
        events = one.events(1e12)
        served.publish(event="some day")
        assert next(events) == {"event": "some day"}


# -- floods, the slow and the silent: a normal client is answered within a bound -----------------

BOUND = 2.0
"""Seconds that `status` waits for a keeper's answer."""


def answered(served: Served) -> None:
    """A normal client is, within the time that `status` gives a keeper."""
    for _ in range(20):
        one = Client(served.folder, BOUND)
        try:
            assert one.request("status")["state"] == {"state": "ready"}
        finally:
            one.close()


@contextlib.contextmanager
def connected(served: Served, count: int) -> Iterator[list[socket.socket]]:
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    try:
        for one in sockets:
            one.connect(str(served.folder / "control.sock"))
        yield sockets
    finally:
        for one in sockets:
            one.close()


def test_pipelined_requests_are_all_answered_and_hold_nobody_up(served: Served) -> None:
    served.cost = 0.002  # what a status of a large tree takes
    with connected(served, 1) as (flood,):
        flood.settimeout(240)
        writer = threading.Thread(target=flood.sendall, args=(b'{"op": "status"}\n' * 4000,))
        writer.start()
        answered(served)
        file = flood.makefile("rb")
        assert all(json.loads(file.readline())["ok"] for _ in range(4000))
        file.close()
        writer.join()


def test_a_flood_whose_answers_are_never_read_holds_nobody_up(served: Served) -> None:
    with connected(served, 8) as floods:
        for flood in floods:
            flood.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    flood.send(b'{"op": "status"}\n' * 1000)
        answered(served)


@pytest.mark.parametrize("sent", [b"", b'{"op": "hel', b'{"op": "follow"}\n'])
def test_clients_that_stay_make_room_for_newer_ones(served: Served, sent: bytes) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with connected(served, 4 * MOST_CONNECTIONS) as idle:
        for one in idle:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                one.sendall(sent)
        answered(served)
    assert len(os.listdir("/proc/self/fd")) < before + 4 * MOST_CONNECTIONS


def test_many_at_once_are_all_answered(served: Served) -> None:
    """More than the kernel's queue of new connections holds."""

    def ask() -> None:
        one = Client(served.folder, 60)
        answers.append(one.request("hello")["ok"] is True)
        one.close()

    answers: list[bool] = []
    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 40


def test_a_defect_in_an_answer_ends_no_keeper(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.defect = ZeroDivisionError("oh")
    with client(served) as one:
        assert "ZeroDivisionError" in str(one.request("status")["error"])
        served.defect = None
        assert one.request("status")["ok"]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_reason_that_no_terminal_can_show_is_taken_as_text(served: Served) -> None:
    assert raw(served, b'{"op": "stop", "reason": "\\ud800' + b"x" * 9000 + b'"}\n')[0]["ok"]
    assert len(served.stopped[0][0]) == 200
    served.stopped[0][0].encode()


def test_the_last_word_reaches_a_reader_that_is_behind(served: Served) -> None:
    with client(served) as one:
        one.request("follow")
        for number in range(100):
            served.publish(event="phase", number=number, text="x" * 2000)
        published = threading.Event()
        served.loop.call_soon(published.set)
        published.wait(600)
        closing = threading.Thread(target=served.close)
        closing.start()
        numbers = [event["number"] for event in one.events(60) if event]
        closing.join()
    assert numbers == list(range(100))
