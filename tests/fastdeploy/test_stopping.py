"""The measured table of signals: what a stranger sends, what `down` does, what stays: nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

import pytest

from tests.fastdeploy.conftest import SOON, Make, Server, judge, judge_death
from tests.support import processes
from tests.support.decoded import JsonDict
from tests.support.waiting import wait_for
from tests.twin.driver import accepts

LATE = "late-start@phase=load@seconds=6000"
"""A load that is still under way whenever the test gets there."""


def receipt(ran: Any) -> JsonDict:
    """The receipt of a `down --json`, which must be all zero."""
    stop_receipt: JsonDict = ran.json["data"]["receipt"]
    assert not stop_receipt["left"], stop_receipt
    return stop_receipt


def test_down_of_a_ready_server_leaves_nothing(fastdeploy: Make) -> None:
    server = fastdeploy()
    assert server.up().rc == 0
    assert server.chat("Hello!").status_code == 200
    down = server.down("--json")
    assert down.rc == 0, down.output()
    receipt(down)
    assert server.left() == []


@pytest.mark.parametrize("phase", ["import", "configure", "launch workers", "load weights"])
def test_down_in_the_middle_of_the_load_interrupts_it(fastdeploy: Make, phase: str) -> None:
    where = {"import": "import", "configure": "import"}.get(phase, "load")
    server = fastdeploy(f"late-start@phase={where}@seconds=6000")
    with server.spawn_up() as up:
        server.wait_state("loading")
        if phase in ("launch workers", "load weights"):
            server.wait_phase("load weights")
        down = server.down("--json")
        up.communicate(timeout=600)
    assert down.rc == 0, down.output()
    receipt(down)
    assert server.left() == []
    assert up.returncode == 4


def test_an_ignored_sigint_that_we_inherited_does_not_reach_the_engine(fastdeploy: Make) -> None:
    """`nohup make up &`: FastDeploy would inherit SIG_IGN and could not be interrupted."""
    server = fastdeploy(LATE, stop={"grace": 10})

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with server.spawn_up(preexec_fn=ignore) as up:
        server.wait_phase("load weights")
        down = server.down("--json")
        up.communicate(timeout=600)
    assert receipt(down)["seconds"] < 10
    events = (server.files.folder / "events.jsonl").read_text()
    assert '"kill"' not in events, "SIGINT alone was enough"


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGQUIT, False),
        (signal.SIGKILL, False), (signal.SIGTERM, True), (signal.SIGKILL, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fault", ["", "int-aborts"])
def test_a_strangers_signal_to_a_ready_server_is_a_death_and_leaves_nothing(
    fastdeploy: Make, number: signal.Signals, group: bool, fault: str
) -> None:
    if fault and number not in (signal.SIGINT, signal.SIGQUIT):
        pytest.skip("the fault is about SIGINT and SIGQUIT")
    server = fastdeploy(fault)
    assert server.up().rc == 0
    main, sent = server.main, time.time()
    (os.killpg if group else os.kill)(main, number)
    judge_death(server, number.name, sent)


@pytest.mark.parametrize(
    ("number", "group"),
    [
        (signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGKILL, False),
        (signal.SIGINT, False), (signal.SIGQUIT, False),
    ],
)  # fmt: skip
def test_a_strangers_signal_while_loading_fails_the_start_and_leaves_nothing(
    fastdeploy: Make, number: signal.Signals, group: bool
) -> None:
    """Measured: SIGTERM ends the front end at once and orphans the worker tree and both queues."""
    server = fastdeploy(LATE)
    with server.spawn_up() as up:
        server.wait_phase("load weights")
        main, sent = server.main, time.time()
        (os.killpg if group else os.kill)(main, number)
        _, stderr = up.communicate(timeout=600)
    assert up.returncode == 4, stderr
    error = server.status()["error"]
    assert error["message"] in stderr
    judge(server, error, number.name, sent)


@pytest.mark.parametrize("how", ["interrupt", "down"])
def test_what_listens_but_is_not_proved_is_stopped_as_a_ready_server(
    fastdeploy: Make, how: str
) -> None:
    """SIGINT while it listens took 6 to 32 s; SIGTERM while it does not would orphan its worker."""
    server = fastdeploy("chat-hangs", health={"probe-timeout": 90})
    with server.spawn_up() as up:
        server.wait_state("loading")
        wait_for(lambda: accepts(server.port("api")), "an open port")
        if how == "down":
            assert receipt(server.down("--json"))["seconds"] < 60
        else:
            up.send_signal(signal.SIGINT)
        up.communicate(timeout=600)
    events = [json.loads(x) for x in (server.files.folder / "events.jsonl").read_text().split("\n")
              if x]  # fmt: skip
    assert [e["signal"] for e in events if e["event"] == "signal"] == ["SIGTERM"]
    assert not [e for e in events if e["event"] == "kill"]
    assert server.left() == []


def test_sighup_and_an_http_worker_that_ends_do_not_end_it(fastdeploy: Make) -> None:
    server = fastdeploy()
    assert server.up().rc == 0
    os.kill(server.main, signal.SIGHUP)
    wait_for(lambda: _answers(server), "an answer after SIGHUP")
    for number in (signal.SIGKILL, signal.SIGTERM):
        helper = server.pid("gunicorn: worker")
        os.kill(helper, number)
        processes.wait_for_end(helper)
        wait_for(lambda: _answers(server), "an answer from a new HTTP worker")
    assert server.state() == "ready"


def test_a_sigterm_to_the_http_worker_that_ends_the_server_is_seen(fastdeploy: Make) -> None:
    """Seen in one measurement of two."""
    server = fastdeploy("http-term-ends")
    assert server.up().rc == 0
    helper, sent = server.pid("gunicorn: worker"), time.time()
    os.kill(helper, signal.SIGTERM)
    server.wait_state("died")
    assert server.noticed(sent) < SOON
    assert server.left() == []


@pytest.mark.parametrize("fault", ["", "exit-hangs"])
def test_a_dead_worker_ends_a_ready_server_even_where_the_front_end_hangs(
    fastdeploy: Make, fault: str
) -> None:
    """FastDeploy's own monitor looks every 5 s, and may hang forever in what follows."""
    server = fastdeploy(fault)
    assert server.up().rc == 0
    worker, killed = server.worker, time.time()
    os.kill(worker, signal.SIGKILL)
    judge_death(server, "killed with signal 9", killed)


@pytest.mark.parametrize("fault", ["term-aborts", "stop-hangs", "worker-ignores-sigterm"])
def test_down_escalates_until_nothing_is_left(fastdeploy: Make, fault: str) -> None:
    server = fastdeploy(fault, stop={"grace": 3})
    assert server.up().rc == 0
    down = server.down("--json")
    assert down.rc == 0, down.output()
    receipt(down)
    assert server.left() == []


def test_down_after_the_front_end_and_then_the_keeper_are_gone(fastdeploy: Make) -> None:
    server = fastdeploy()
    assert server.up().rc == 0
    stored = server.files.state()
    assert stored is not None
    assert stored.keeper is not None
    processes.kill([stored.keeper.pid, server.main])
    status = server.run("status", server.name, "--json")
    assert (status.rc, status.json["data"]["instances"][0]["state"]) == (1, "lost")
    down = server.down("--json")
    assert down.rc == 0, down.output()
    receipt(down)
    assert server.left() == []


def test_down_while_it_is_dying_by_itself(fastdeploy: Make) -> None:
    server = fastdeploy("stop-slow@seconds=60")
    assert server.up().rc == 0
    os.kill(server.main, signal.SIGTERM)
    down = server.down("--json")
    assert down.rc == 0, down.output()
    assert server.left() == []


def stream(server: Server) -> tuple[bool, str]:
    """(whether the stream ended properly, what came) of a long answer."""
    text = ""
    try:
        with server.chat("Count from 1 to 30", stream=True, max_tokens=400) as response:
            for line in response.iter_lines():
                text += line.decode() + "\n"
    except OSError:
        return False, text
    return "data: [DONE]" in text, text


@pytest.mark.parametrize(("drain", "is_drained"), [(0, False), (60, True)])
def test_running_streams_are_drained_as_the_profile_says(
    fastdeploy: Make, drain: int, is_drained: bool
) -> None:
    server = fastdeploy(stop={"drain": drain, "grace": 20}, env={"TWIN_TOKENS_PER_S": "10"})
    assert server.up().rc == 0
    result: list[tuple[bool, str]] = []
    client = threading.Thread(target=lambda: result.append(stream(server)))
    client.start()
    wait_for(lambda: _running(server) > 0, "the stream to be running")
    down = server.down("--json")
    client.join(600)
    assert down.rc == 0, down.output()
    assert result[0][0] == is_drained, result[0][1][-300:]


def _running(server: Server) -> int:
    import requests

    text = requests.get(f"http://127.0.0.1:{server.port('metrics')}/metrics", timeout=10).text
    for line in text.splitlines():
        if line.startswith("fastdeploy:num_requests_running"):
            return int(float(line.split()[-1]))
    return 0


def _answers(server: Server) -> bool:
    try:
        return server.chat("Hello!", max_tokens=8).status_code == 200
    except OSError:
        return False
