"""Changes of a running HAProxy through its socket: each verb against the real process."""

import collections
import json
import socket
import threading
from pathlib import Path

import pytest

from launcher.door import socket_client
from launcher.door.config import Server
from launcher.door.runtime import Door
from launcher.errors import DeadlineError, DeployError, PreconditionError
from tests.door.conftest import MakeReplica, RunDoor
from tests.support.haproxies import HAProxy
from tests.support.waiting import wait_for


def ask(haproxy: HAProxy, times: int = 1) -> collections.Counter[str]:
    """Who answers, over one connection."""
    connection = haproxy.connection()
    names: collections.Counter[str] = collections.Counter()
    for _ in range(times):
        connection.request("GET", "/v1/models")
        names[json.loads(connection.getresponse().read())["replica"]] += 1
    connection.close()
    return names


def test_a_server_is_added_weighted_drained_and_removed(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    first, second = replica("a"), replica("b")
    running = haproxy(first.server())
    door = running.door
    assert ask(running, 5) == {"a": 5}

    door.add(running.settings, second.server(weight=100))
    states = {state.name: state for state in door.servers()}
    assert (states["b"].port, states["b"].ready_port) == (second.server_port, second.server_port)
    assert {s.state for s in states.values()} == {"up"}
    assert set(ask(running, 60)) == {"a", "b"}

    door.set_weight("b", 0)
    assert door.server("b").state == "drain"
    assert ask(running, 20) == {"a": 20}
    door.set_weight("b", 256)
    assert door.server("b").weight == 256

    door.drain("a")
    assert door.server("a").state == "drain"
    assert ask(running, 20) == {"b": 20}
    door.resume("a")
    assert door.server("a").state == "up"

    door.drain("a")
    door.remove("a")
    assert [state.name for state in door.servers()] == ["b"]
    assert ask(running, 20) == {"b": 20}


def test_a_server_is_checked_by_its_keepers_readyz(replica: MakeReplica, haproxy: RunDoor) -> None:
    first, second = replica("a"), replica("b")
    running = haproxy(first.server())
    running.door.add(running.settings, second.server())

    def becomes(name: str, state: str) -> None:
        wait_for(lambda: running.door.server(name).state == state, f"{name} is {state}")

    for one, name in ((first, "a"), (second, "b")):
        one.ready = False
        becomes(name, "down")
        one.ready = True
        becomes(name, "up")


def test_a_server_is_idle_when_its_stream_has_ended(replica: MakeReplica, haproxy: RunDoor) -> None:
    one, second = replica("a"), replica("b")
    one.behaviour = "stream"
    running = haproxy(one.server())
    client = running.connection()
    client.request("POST", "/v1/chat/completions", b"{}")
    answer = client.getresponse()
    assert answer.readline() == b"data: a\n"
    running.door.add(running.settings, second.server())
    running.door.drain("a")
    with pytest.raises(DeadlineError) as caught:
        running.door.remove("a", deadline=0.0)
    assert caught.value.problems[0].code == "requests-running"
    assert running.door.server("a").state == "maint"

    counts: list[int] = []
    waiting = threading.Thread(
        target=running.door.wait_until_idle,
        args=("a", 600.0, lambda state: counts.append(state.sessions)),
    )
    waiting.start()
    wait_for(lambda: counts == [1], "the running request is reported")
    one.release.set()
    assert answer.read().endswith(b"data: [DONE]\n\n")
    waiting.join()
    assert counts == [1, 0]
    running.door.remove("a")
    assert [state.name for state in running.door.servers()] == ["b"]


def test_a_replica_that_comes_back_elsewhere_is_moved(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    first, second = replica("a"), replica("b")
    running = haproxy(first.server())
    running.door.move(Server("a", "127.0.0.1", second.server_port, second.server_port))
    assert ask(running, 5) == {"b": 5}
    first.ready = False
    assert running.door.server("a").state == "up"


def test_totals_count_requests_and_answers(replica: MakeReplica, haproxy: RunDoor) -> None:
    running = haproxy(replica("a").server(), replica("b").server())
    ask(running, 30)
    totals = running.door.totals()
    assert totals.frontend.requests == 30
    assert totals.frontend.classes["2xx"] == 30
    assert totals.backend.requests == sum(one.requests for one in totals.servers.values()) == 30
    assert set(totals.servers) == {"a", "b"}
    assert totals.backend.connect_errors == totals.backend.retries == 0


@pytest.mark.parametrize("share", [5, 20])
def test_a_canary_gets_its_share_without_load(
    replica: MakeReplica, haproxy: RunDoor, share: int
) -> None:
    running = haproxy(replica("a").server(100 - share), replica("b").server(share))
    got = ask(running, 2000)["b"] / 20
    # Five standard deviations of a fair draw: 2.4 and 4.5 points.
    assert abs(got - share) < 5 * (share * (100 - share) / 2000) ** 0.5


def test_haproxys_refusals_are_errors(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    running = haproxy(one.server())
    with pytest.raises(PreconditionError) as caught:
        running.door.add(running.settings, one.server())
    assert caught.value.problems[0].code == "door-refused"
    assert "Already exists" in str(caught.value)
    for verb in (running.door.drain, running.door.resume, running.door.remove):
        with pytest.raises(PreconditionError, match="no server 'z'"):
            verb("z")
    with pytest.raises(PreconditionError, match="HAProxy refuses"):
        running.door.set_weight("a", 257)
    assert [state.name for state in running.door.servers()] == ["a"]


def test_nothing_listens(tmp_path: Path) -> None:
    door = Door(tmp_path / "none.sock", tmp_path / "none.sock")
    with pytest.raises(PreconditionError) as caught:
        door.frame()
    assert caught.value.problems[0].code == "door-not-running"


@pytest.mark.parametrize(
    "answer",
    [b"", b"\n", b"# pxname,svname\n", b"garbage\0\xff\n" * 100, b"1\n# srv_name\n", b"[]"],
)
def test_a_strange_answer_is_an_error(tmp_path: Path, answer: bytes) -> None:
    with listening(tmp_path / "s", answer) as door:
        for question in (door.servers, door.totals):
            with pytest.raises(DeployError):
                question()


def test_an_endless_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_client, "LONGEST_ANSWER", 100_000)
    with (
        listening(tmp_path / "s", b"x" * 1_000_000) as door,
        pytest.raises(PreconditionError, match="longer than"),
    ):
        door.frame()


def test_a_command_is_one_line(tmp_path: Path) -> None:
    for command in ("show info\nshutdown", "show stat\0", "ä", "x" * 5000):
        with pytest.raises(ValueError, match="not a command"):
            socket_client.exchange(tmp_path / "s", command)


class listening:  # noqa: N801
    """A socket that gives the same answer to every command."""

    def __init__(self, path: Path, answer: bytes) -> None:
        self.answer = answer
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.door = Door(path, path)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                client.recv(4096)
                try:
                    client.sendall(self.answer)
                except OSError:
                    continue

    def __enter__(self) -> Door:
        self.thread.start()
        return self.door

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
