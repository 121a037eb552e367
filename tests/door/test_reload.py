"""Reloads: no request is lost, and a configuration that is refused changes nothing."""

import http.client
import json
import signal
import threading
from pathlib import Path

import pytest

from launcher.door.config import DoorSettings, frame_of, render
from launcher.door.master import processes, reload, running_requests
from launcher.errors import PreconditionError
from tests.door.conftest import MakeReplica, RunDoor
from tests.support.waiting import wait_for

OTHER = DoorSettings("chat", retry_after=17)


def test_a_reload_loads_the_file(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    running = haproxy(one.server())
    text = render(OTHER, [one.server()])
    running.write(text)
    assert running.door.frame() != frame_of(text)
    assert reload(running.master).done
    assert running.door.frame() == frame_of(text)


def test_a_refused_configuration_leaves_the_worker(replica: MakeReplica, haproxy: RunDoor) -> None:
    running = haproxy(replica("a").server())
    before = running.workers()
    running.write(running.config.read_text() + "    no-such-word\n")
    assert not reload(running.master).done
    assert running.workers() == before
    assert "unknown keyword 'no-such-word'" in running.log()
    running.write(render(OTHER, [replica("b").server()]))
    assert reload(running.master).done
    assert running.workers() != before


def test_requests_of_the_worker_before_are_counted_and_end(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    one, second = replica("a"), replica("b")
    one.behaviour = "stream"
    running = haproxy(one.server())
    client = running.connection()
    client.request("POST", "/v1/chat/completions", b"{}")
    answer = client.getresponse()
    assert answer.readline() == b"data: a\n"
    running.write(render(OTHER, [one.server(), second.server()]))
    assert reload(running.master).done
    assert running.door.server("a").sessions == 1
    assert running.door.server("b").is_idle
    one.release.set()
    assert answer.read().endswith(b"data: [DONE]\n\n")
    running.door.wait_until_idle("a", 600.0)
    client.close()
    wait_for(lambda: len(running.workers()) == 1, "the worker before has ended")
    now = processes(running.master)
    assert now is not None
    assert not now.old


def test_no_master_listens(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError) as caught:
        reload(tmp_path / "none.sock")
    assert caught.value.problems[0].code == "door-not-running"


@pytest.mark.parametrize(
    "reloads", [3, pytest.param(60, marks=pytest.mark.soak)]
)  # fmt: skip
def test_reloads_under_load_lose_no_request(
    replica: MakeReplica, haproxy: RunDoor, reloads: int
) -> None:
    one, second = replica("a"), replica("b")
    running = haproxy(one.server(), second.server())
    stop = threading.Event()
    failures: list[object] = []
    counts: list[int] = []

    def client() -> None:
        done = 0
        while not stop.is_set():
            connection = running.connection()
            try:
                for _ in range(20):
                    connection.request("POST", "/v1/chat/completions", b"x" * 1000)
                    answer = connection.getresponse()
                    body = json.loads(answer.read())
                    if answer.status != 200 or body["length"] != 1000:
                        failures.append((answer.status, body))
                    done += 1
                    if answer.will_close:
                        break
            except (http.client.HTTPException, OSError) as error:
                failures.append((type(error).__name__, str(error)))
            finally:
                connection.close()
        counts.append(done)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    for number in range(reloads):
        values = DoorSettings("chat", retry_after=number + 20)
        running.write(render(values, [one.server(), second.server()]))
        assert reload(running.master).done
    stop.set()
    for thread in clients:
        thread.join()
    assert not failures
    assert sum(counts) > 10 * reloads


def test_a_kept_connection_is_answered_once_more_and_closed(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    """Else a client that never pauses stays with the settings of before."""
    one = replica("a")
    running = haproxy(one.server())
    client = running.connection()
    answers = []
    for number in range(3):
        client.request("POST", "/v1/chat/completions", b"{}")
        answer = client.getresponse()
        answer.read()
        answers.append((answer.status, answer.will_close))
        if number == 0:
            running.write(render(OTHER, [one.server()]))
            assert reload(running.master).done
    assert answers == [(200, False), (200, True), (200, False)]
    wait_for(lambda: len(running.workers()) == 1, "the worker before has ended")


def test_what_runs_is_counted_once_it_was_told_to_end_and_an_idle_connection_is_nothing(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    one = replica("a")
    running = haproxy(one.server())
    idle, busy = running.connection(), running.connection()
    idle.request("GET", "/v1/models")
    idle.getresponse().read()
    one.behaviour = "stream"
    busy.request("POST", "/v1/chat/completions", b"{}")
    answer = busy.getresponse()
    assert answer.readline() == b"data: a\n"
    assert running_requests(running.master) is None, "the next one may come at any time"
    running.write(render(OTHER, [one.server()]))
    assert reload(running.master).done
    running.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: running_requests(running.master) == 1, "the request of the worker before")
    one.release.set()
    assert answer.read().endswith(b"data: [DONE]\n\n")
    wait_for(lambda: running_requests(running.master) == 0, "no request, though one client stays")
    assert running.process.poll() is None
