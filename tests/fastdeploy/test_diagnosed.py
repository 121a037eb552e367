"""A FastDeploy that is ready: `diagnose` asks it as `status` does, and says why it fails."""

from __future__ import annotations

import os
import signal

import requests

from launcher.json_values import JsonObject
from tests.fastdeploy.conftest import Make
from tests.support.waiting import wait_for

JSON = {"Content-Type": "application/json"}
SICK = "GET /health answered 404 Worker Service Not Healthy"
NEVER = {"policy": "never"}
PATIENT = {"interval": 1, "stall-after": 600, "compute-stall-after": 600}
"""The server is not ended as one that is stalled while a test looks at it."""


def summary_of(text: str) -> str:
    return " ".join(text.split())


def test_a_worker_that_stands_still(fastdeploy: Make) -> None:
    """Stopped as a hung kernel call stops it: completions hang at once, /health says so later."""
    server = fastdeploy(health={"startup-timeout": 90, "probe-timeout": 2}, liveness=PATIENT)
    assert server.up().rc == 0
    assert server.run("diagnose", server.name).rc == 0
    worker = server.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        first = server.run("diagnose", server.name)
        assert first.rc == 1, first.output()
        assert first.stdout.startswith(f"{server.name} is unhealthy: GET /health answered ")
        status = server.run("status", server.name)
        assert status.rc == 1, "the stopped worker is named at once"
        wait_for(lambda: SICK in server.run("status", server.name).stdout, "the old heartbeat")
        status = server.run("status", server.name)
        ran = server.run("diagnose", server.name)
        data = server.run("diagnose", server.name, "--json").json["data"]
    finally:
        os.kill(worker, signal.SIGCONT)
    stopped = f"stopped by a signal (SIGSTOP): {worker} (worker_process.py)"
    assert status.stdout.startswith(f"{server.name} is unhealthy: {SICK}")
    assert status.stdout.splitlines()[0].endswith(f"; {stopped}")
    assert SICK in status.stderr
    assert ran.rc == 1, ran.output()
    assert ran.stdout.startswith(f"{server.name} is unhealthy: {SICK}")
    assert "ED-FD-WORKER-SILENT  the worker's heartbeat is over 30 s old" in ran.stdout
    assert "restart the instance" in summary_of(ran.stdout)
    assert data["rule"] == "ED-FD-WORKER-SILENT"
    assert data["newest_lines"], "where its logs ended"


def test_completions_that_hang_while_health_is_200(fastdeploy: Make) -> None:
    """The health question cannot show it: only a completion tells."""
    health = {"startup-timeout": 90, "probe-timeout": 3}
    server = fastdeploy("chat-hangs@after=1", health=health, liveness=PATIENT, restart=NEVER)
    assert server.up().rc == 0
    ran = server.run("diagnose", server.name, "--json")
    data = ran.json["data"]
    assert (ran.rc, data["rule"]) == (1, None), ran.output()
    assert data["state"]["name"] == "unhealthy"
    assert "GET /health answered 200, but POST /v1/chat/" in data["state"]["message"]
    assert "timed out after 3 s" in data["state"]["message"]
    assert f"`ernie-deploy restart {server.name}`" in data["remedy"]


def test_cleared_weights(fastdeploy: Make) -> None:
    server = fastdeploy(engine_args={"dynamic-load-weight": True}, liveness=PATIENT)
    assert server.up().rc == 0
    url = f"http://127.0.0.1:{server.port('api')}/clear_load_weight"
    assert requests.get(url, timeout=600).status_code == 200
    ran = server.run("diagnose", server.name, "--json")
    data = ran.json["data"]
    assert (ran.rc, data["rule"]) == (1, "ED-FD-WEIGHTS-CLEARED"), ran.output()
    assert data["state"]["message"] == f"{server.name} is unhealthy: GET /health answered 304"
    assert "finish the weight update" in data["remedy"]
    paused = f"{server.name} is unhealthy: paused for "
    wait_for(lambda: server.run("status", server.name).stdout.startswith(paused), "the verdict")
    status = server.run("status", server.name)
    assert status.rc == 1
    assert "GET /health answered 304: the engine was paused" in status.stdout


def test_the_bad_requests_of_smoke_make_no_server_ill(fastdeploy: Make) -> None:
    """They stand in the logs as errors with tracebacks, as in the real server's."""
    server = fastdeploy()
    assert server.up().rc == 0
    smoke = server.run("smoke", server.name, "--tag", "full", "--json", deadline=500)
    assert smoke.rc in (0, 1), smoke.output()
    url = f"http://127.0.0.1:{server.port('api')}/v1/chat/completions"
    bodies: tuple[JsonObject, ...] = (
        {"messages": []},
        {"messages": [{"role": "user", "content": "x"}], "logprobs": 1},
    )
    for body in bodies:
        assert requests.post(url, json=body, timeout=600).status_code >= 400
    assert requests.post(url, data=b"{bad", headers=JSON, timeout=600).status_code == 500
    errors = (server.files.logs / "engine" / "api_server.log").read_text()
    assert "generator error: messages can not be an empty list" in errors
    ran = server.run("diagnose", server.name, "--json")
    assert (ran.rc, ran.json["data"]["rule"]) == (0, None), ran.output()
    assert server.down().rc == 0
    after = server.run("diagnose", server.name, "--json")
    assert (after.rc, after.json["data"]["rule"]) == (0, None), after.output()
