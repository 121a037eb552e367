"""What `status` says of an instance: every state, and every answer of a ready one's server."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from launcher.codec import encode_object
from launcher.instance.health import Health, ask_completion, ask_health, with_stopped
from launcher.instance.instance_status import InstanceStatus
from launcher.instance.status import message
from launcher.json_values import JsonObject
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.identity import look, myself
from launcher.plan.model import LaunchPlan, PortUse, Readiness
from tests.support import ROOT, ports
from tests.support.payloads import made
from tests.support.ports import is_free
from tests.support.waiting import wait_for

Served = Callable[..., tuple[LaunchPlan, int]]


@pytest.fixture
def served() -> Iterator[Served]:
    """Starts a scripted server; gives the plan of its instance, and its pid."""
    running: list[subprocess.Popen[bytes]] = []

    def serve(**script: object) -> tuple[LaunchPlan, int]:
        number = ports.free_port()
        argv = [str(ROOT / "tests/support/fake_server.py"), str(number), json.dumps(script)]
        running.append(subprocess.Popen([sys.executable, "-I", "-S", *argv]))
        if script.get("serve", True):
            wait_for(lambda: not is_free(number), "the server's port")
        plan = LaunchPlan(
            instance="one", engine="scripted", release="1.0", argv=("/bin/true",), cwd="/",
            log_folder="/nowhere", temporary_folder="/nowhere",
            ports=(PortUse("api", number, "127.0.0.1"),),
            readiness=Readiness(
                "127.0.0.1", model="tiny", completion={"model": "tiny"}, probe_timeout=1.0
            ),
        )  # fmt: skip
        return plan, running[-1].pid

    yield serve
    for process in running:
        process.kill()
        process.wait()


ANSWERS = [
    ({}, True, "GET /health answered 200"),
    ({"health": 304}, False, "GET /health answered 304"),
    (
        {"health": 404, "health_text": "Worker Service Not Healthy"}, False,
        "GET /health answered 404 Worker Service Not Healthy",
    ),
    ({"health": 500, "health_text": ""}, False, "GET /health answered 500"),
    ({"health": 503}, False, 'GET /health answered 503 {"status": 503}'),
    ({"health": 404, "health_text": "\x1b[2Jtwo\nlines"}, False,
     "GET /health answered 404 two lines"),
    ({"health": 404, "health_text": "x" * 5000}, False, "GET /health answered 404 " + "x" * 80),
    ({"health": "hang"}, False, "GET /health timed out after 0.5 s"),
    ({"serve": False}, False, "GET /health failed: connection refused"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "well", "expected"), ANSWERS)
def test_an_answer_and_its_words(
    served: Served, script: dict[str, object], well: bool, expected: str
) -> None:
    plan, pid = served(**script)
    answer = ask_health(encode_object(plan), [pid], None, 0.5)
    assert (answer.well, answer.message) == (well, expected)
    row = {"name": "one", "state": "ready", "healthy": answer.well, "health": answer.message}
    assert message(made(InstanceStatus, row)) == (
        "one is ready" if well else f"one is unhealthy: {expected}"
    )


def test_a_healthy_answer_of_another_process_is_not_ours(served: Served) -> None:
    plan, pid = served()
    port = plan.ports[0].number
    answer = ask_health(encode_object(plan), [], None, 5)
    assert answer.well is False
    assert answer.message.startswith(f"port {port} is held by another process, pid {pid} (")
    # One that is not recorded yet is found below its keeper.
    assert ask_health(encode_object(plan), [], myself().pid, 5).well is True


def test_a_broken_plan_is_no_traceback() -> None:
    broken: tuple[JsonObject, ...] = (
        {},
        {"readiness": {}, "ports": []},
        {"readiness": None, "ports": 3},
    )
    for plan in broken:
        answer = ask_health(plan, [], None, 0.5)
        assert answer.well is False
        assert "cannot be asked" in answer.message


def test_a_server_that_ends_an_answer_in_its_middle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        plan: JsonObject = {
            "readiness": {"address": "127.0.0.1", "health_path": "/health", "port": "api"},
            "ports": [{"name": "api", "number": server.getsockname()[1]}],
        }
        child = os.fork()
        if child == 0:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.close()
            os._exit(0)
        try:
            answer = ask_health(plan, [os.getpid()], None, 5)
        finally:
            os.waitpid(child, 0)
    assert answer.well is False
    assert answer.message.startswith("GET /health failed: ")


@pytest.mark.parametrize(
    ("completion", "well", "expected"),
    [
        ("ok", True, "answered in "),
        ("reasoning", True, "answered in "),
        ("hang", False, "GET /health answered 200, but POST /v1/chat/completions timed out after"),
        ("empty", False, "without any text"),
        ("garbage", False, "without any text"),
        ("500", False, "answered with 500"),
        ("400", False, "answered with 400"),
        ("429", None, "answered with 429"),
        ("401", None, "refused the API key"),
    ],
)
def test_a_short_completion(
    served: Served, completion: str, well: bool | None, expected: str
) -> None:
    plan, _ = served(completion=completion)
    answer = ask_completion(plan)
    assert answer.well is well
    assert expected in answer.message


def test_a_key_that_only_a_command_gives_is_not_asked_for(served: Served) -> None:

    plan, _ = served(key="sesame")
    readiness = replace(plan.readiness, auth_secret="KEY")
    for reference in ("cmd:touch /tmp/never-run-by-a-diagnosis", "env:NO_SUCH_VARIABLE_HERE"):
        answer = ask_completion(replace(plan, readiness=readiness, secrets={"KEY": reference}))
        assert answer.well is None
        assert answer.message.startswith("no completion was asked for: ")
    assert not os.path.exists("/tmp/never-run-by-a-diagnosis")


STATES = [
    ({"state": "starting"}, "one is starting"),
    ({"state": "loading", "phase": "weights", "percent": 25.0},
     "one is loading: phase weights 25 %"),
    ({"state": "loading", "phase": "import", "percent": None}, "one is loading: phase import"),
    ({"state": "stopping"}, "one is stopping"),
    ({"state": "stopped"}, "one is stopped"),
    ({"state": "absent", "note": "no server"}, "one is absent: no server"),
    ({"state": "lost", "note": "its keeper was killed"}, "one is LOST: its keeper was killed"),
    ({"state": "foreign", "note": "elsewhere"}, "one is foreign: elsewhere"),
    ({"state": "damaged", "note": "no JSON"}, "one is damaged: no JSON"),
    ({"state": "failed", "error": {"message": "no GPU"}}, "one has failed: no GPU"),
    ({"state": "died", "error": {"message": "killed"}}, "one has died: killed"),
    ({"state": "died", "error": None}, "one has died"),
    ({"state": "unknown", "note": "the keeper does not answer (timed out)"},
     "the state of one is unknown: the keeper does not answer (timed out)"),
    ({"state": "unknown"}, "the state of one is unknown: it could not be read in time"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), STATES)
def test_a_state_and_its_words(row: dict[str, object], expected: str) -> None:
    """The last answer of a server that does not run any more is not repeated."""
    stale = {"healthy": False, "health": "GET /health answered 404"}
    rows = ({"name": "one", **row}, {"name": "one", **stale, **row})
    assert [message(made(InstanceStatus, one)) for one in rows] == [expected, expected]


@pytest.mark.parametrize("well", [True, False])
def test_a_stopped_process_is_named_whatever_the_server_answers(well: bool) -> None:
    """A FastDeploy whose worker is stopped goes on answering 200 for 30 s."""
    argv = [sys.executable, "-I", "-S", "-c", "input()", "worker_process.py"]
    worker = subprocess.Popen(argv, stdin=subprocess.PIPE)
    try:
        process = look(worker.pid)
        assert process is not None
        health = Health(well, "GET /health answered 200", 200)
        assert with_stopped(health, [ProcessClaim.of(process)]) == health
        worker.send_signal(signal.SIGSTOP)
        os.waitpid(worker.pid, os.WUNTRACED)
        result = with_stopped(health, [ProcessClaim.of(process)])
        assert result.well is False
        assert result.message.startswith(
            "GET /health answered 200; stopped by a signal (SIGSTOP): "
        )
        assert f"{worker.pid} (" in result.message
        assert f"kill -CONT {worker.pid}" in str(result.remedy)
        another = replace(ProcessClaim.of(process), start=process.start - 1)
        assert with_stopped(health, [another]) == health, "its number is another's by now"
    finally:
        worker.kill()
        worker.communicate()
