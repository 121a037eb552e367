"""Rows of the measurement that are not a failure to start or a signal."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.fastdeploy.conftest import Make, judge_death
from tests.fastdeploy.test_stopping import _running, stream
from tests.support.waiting import wait_for


def test_noise_that_looks_like_an_error_is_none(fastdeploy: Make) -> None:
    """`Error extracting sub services`, leaked shared_memory, `code=-15` at a stop."""
    server = fastdeploy("noise")
    up = server.up("--json")
    assert up.rc == 0, up.output()
    assert not [e for e in up.events if e["event"] == "failure"]
    down = server.down("--json")
    assert (down.rc, down.json["data"]["state"]) == (0, "stopped"), down.output()
    stored = server.files.state()
    assert stored is not None
    assert stored.error is None


@pytest.mark.parametrize("expected", ["", "@told=1"])
def test_the_true_exit_code_of_a_worker_that_dies_when_ready(
    fastdeploy: Make, expected: str
) -> None:
    """FastDeploy's own line says code=0 but for rare times; launch_worker.log knows better."""
    server = fastdeploy(f"worker-dies-after-ready@code=7@after=60{expected}")
    assert server.up().rc == 0
    judge_death(server, "exit code 7")


def test_readiness_is_the_api_ports_never_the_metrics_ports(fastdeploy: Make) -> None:
    """M answers two seconds before P, and after P is gone."""
    server = fastdeploy()
    up = server.up("--json")
    assert up.rc == 0, up.output()
    evidence = up.json["data"]["evidence"]
    assert f"port {server.port('api')} " in evidence["listening"]["message"]
    assert server.files.plan().readiness.port == "api"
    assert str(server.port("metrics")) not in evidence["health"]["message"]


def test_a_stream_that_is_longer_than_the_drain_is_cut(fastdeploy: Make) -> None:
    server = fastdeploy(stop={"drain": 1, "grace": 20}, env={"TWIN_TOKENS_PER_S": "2"})
    assert server.up().rc == 0
    result: list[tuple[bool, str]] = []
    client = threading.Thread(target=lambda: result.append(stream(server)))
    client.start()
    wait_for(lambda: _running(server) > 0, "the stream to be running")
    down = server.down("--json")
    client.join(600)
    assert down.rc == 0, down.output()
    assert not result[0][0]
    assert server.left() == []


def test_weights_that_are_cleared_are_a_304_and_not_healthy(fastdeploy: Make) -> None:
    server = fastdeploy("weights-cleared", health={"startup-timeout": 8, "no-progress-timeout": 8,
                                                   "probe-timeout": 4})  # fmt: skip
    up = server.up("--json")
    assert up.rc == 5, up.output()
    assert "304" in up.json["errors"][0]["message"]


def test_a_front_end_that_hangs_after_its_api_port_is_gone_is_no_ready_one(
    fastdeploy: Make,
) -> None:
    """M and C go on listening in such a process; the worker's death decides."""
    server = fastdeploy("exit-hangs")
    assert server.up().rc == 0
    worker, killed = server.worker, time.time()
    os.kill(worker, signal.SIGKILL)
    judge_death(server, "killed with signal 9", killed)
