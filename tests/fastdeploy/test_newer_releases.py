"""2.5 and 2.6 through `ernie-deploy up`, and a release without a catalogue.

A sample of each difference; `test_soak.py` runs every row of the measurement for each release.
"""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path

import pytest
import requests
import yaml

from launcher.engines.fastdeploy.question import is_asked
from tests.fastdeploy.conftest import Make, Server, judge_death, judge_start
from tests.support import processes
from tests.support.waiting import wait_for

NEWER = ("2.5", "2.6")


@pytest.mark.parametrize("release", NEWER)
def test_it_serves_and_leaves_nothing(fastdeploy: Make, release: str) -> None:
    server = fastdeploy(release=release)
    up = server.up("--json")
    assert up.rc == 0, up.output()
    plan = server.files.plan()
    unix = [use.name for use in plan.ports if use.socket]
    assert unix == ["engine-worker-queue", "cache-queue"][: 2 if release == "2.6" else 1]
    workers = [line for line in server.processes().values() if "gunicorn: worker" in line]
    assert len(workers) == (4 if release == "2.6" else 1)
    assert server.chat("Say hello.").status_code == 200
    down = server.down("--json")
    assert (down.rc, down.json["data"]["state"]) == (0, "stopped"), down.output()
    assert server.left() == []


@pytest.mark.parametrize("release", NEWER)
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("worker-dies-in-load@code=7", "ended with exit code 7"),
        ("worker-dies-in-profiling", "no GPU memory is left for the KV cache"),
    ],
)
def test_a_worker_that_dies_while_it_starts(
    fastdeploy: Make, release: str, fault: str, cause: str
) -> None:
    """Exit codes of FastDeploy in profiling: 2.4 hangs, 2.5 ends with 1, 2.6 with 0."""
    server = fastdeploy(fault, release=release)
    judge_start(server, server.up("--json"), 4, cause)


def test_a_worker_that_dies_when_ready(fastdeploy: Make) -> None:
    server = fastdeploy("worker-dies-after-ready@code=7@after=60", release="2.6")
    assert server.up().rc == 0
    judge_death(server, "exit code 7")


def test_a_traceback_of_an_earlier_run_is_not_the_cause(fastdeploy: Make, tmp_path: Path) -> None:
    """2.6 appends the newest workerlog's to its line, and launch failures write none."""
    server = fastdeploy("worker-dies-in-load@text=KeyError: 'of last week'", release="2.6")
    assert server.up().rc == 4
    profile = yaml.safe_load(server.profile.read_text())
    profile["env"]["TWIN_FAULT"] = "launch-fails"
    server.profile.write_text(yaml.safe_dump(profile))
    server.strikes.unlink(missing_ok=True)
    up = server.up("--json")
    judge_start(server, up, 4, "a GPU that CUDA_VISIBLE_DEVICES or the machine does not have")
    assert "of last week" not in up.output()


def test_what_the_console_repeats_is_told_once(fastdeploy: Make) -> None:
    server = fastdeploy("root-logger-prints,noise", release="2.6")
    up = server.up("--json")
    assert up.rc == 0, up.output()
    told = [(e["phase"], e.get("percent")) for e in up.events if e["event"] == "phase"]
    assert len(told) == len(set(told)), told
    phases = [phase for phase, _ in itertools.groupby(phase for phase, _ in told)]
    assert len(phases) == len(set(phases)), phases
    assert not [e for e in up.events if e["event"] == "failure"]
    server.chat("A prompt that only its client may read.")
    for path in server.files.folder.rglob("*"):
        assert path.lstat().st_mode & 0o077 == 0 or path.is_symlink(), path
    log = server.run("logs", server.name)
    assert "A prompt that only its client may read" not in log.output()


def test_a_failure_that_the_console_repeats_is_told_once(fastdeploy: Make) -> None:
    server = fastdeploy("root-logger-prints,worker-dies-in-load@code=7", release="2.6")
    up = server.up("--json")
    judge_start(server, up, 4, "ended with exit code 7")
    assert len([e for e in up.events if e["event"] == "failure"]) == 1


def test_a_paused_server_is_not_ready(fastdeploy: Make) -> None:
    server = fastdeploy(release="2.6")
    assert server.up().rc == 0
    url = f"http://127.0.0.1:{server.port('api')}/v1"
    assert requests.post(f"{url}/pause", timeout=60).status_code == 200
    status = server.run("status", server.name, "--json")
    row = status.json["data"]["instances"][0]
    assert status.rc == 1, status.output()
    assert "the engine is paused" in json.dumps(row)
    assert requests.post(f"{url}/resume", timeout=60).status_code == 200
    assert server.run("status", server.name, "--json").rc == 0


def test_an_engine_error_behind_a_200_is_no_readiness(fastdeploy: Make) -> None:
    server = fastdeploy("engine-error", release="2.6", health={"startup-timeout": 60})
    up = server.up("--json")
    assert up.rc in (4, 5), up.output()
    assert "without any text" in up.json["errors"][0]["message"], up.output()
    assert server.left() == []


def _queue_socket(server: Server) -> Path:
    (path,) = [u.socket for u in server.files.plan().ports if u.name == "engine-worker-queue"]
    assert path is not None
    return Path(path)


def test_a_dead_socket_of_ours_makes_way(fastdeploy: Make) -> None:
    """Everything is killed with SIGKILL, keeper too, so the files stay."""
    server = fastdeploy(release="2.6", ports={"engine-worker-queue": 21712, "cache-queue": 21713})
    assert server.up().rc == 0
    path = _queue_socket(server)
    stored = server.files.state()
    assert stored is not None
    assert stored.keeper is not None
    processes.kill([stored.keeper.pid, *server.processes()])
    wait_for(lambda: not server.processes(), "everything to be dead")
    assert path.exists()
    up = server.up("--json")
    assert up.rc == 0, up.output()


def test_a_dead_socket_of_nobody_is_named(fastdeploy: Make) -> None:
    path = Path("/dev/shm/fd_task_queue_21722.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    try:
        server = fastdeploy(release="2.6", ports={"engine-worker-queue": 21722})
        up = server.up("--json")
        assert up.rc == 3, up.output()
        (error,) = up.json["errors"]
        assert error["code"] == "socket-left"
        assert str(path) in error["message"]
        assert f"rm {path}" in error["remedy"]
        assert path.exists()
    finally:
        path.unlink()


# a release without a catalogue ---------------------------------------------------------


def test_2_7_is_asked_for_its_options_and_served(fastdeploy: Make) -> None:
    """One flag more and one less than 2.6."""
    server = fastdeploy(release="2.7", engine_args={"answer-cache-size": 3})
    up = server.up("--json")
    assert up.rc == 0, up.output()
    assert "--answer-cache-size" in server.files.plan().argv
    notes = " ".join(server.files.plan().notes)
    assert "2.7.0 is not in the catalogue" in notes
    assert "known only from 2.6" in notes
    assert server.down().rc == 0
    assert server.left() == []


def test_2_7_refuses_what_its_parser_lacks(fastdeploy: Make) -> None:
    server = fastdeploy(release="2.7", engine_args={"deploy-modality": "text"})
    up = server.up("--json")
    assert (up.rc, up.json["errors"][0]["code"]) == (2, "unknown-flag"), up.output()
    assert "2.7.0 has no flag --deploy-modality" in up.json["errors"][0]["message"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2.7.0", True), ("2.3.0", True), ("2.3.2", True), ("2.6.0rc1", True), ("2.5.0", False),
     ("2.4.0", False), ("2.2.1", False)],
)  # fmt: skip
def test_what_is_asked(version: str, expected: bool) -> None:
    assert is_asked(version) is expected
