"""The generator as a child: its configuration, its key, its end, and what it brings."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.bench import generator
from launcher.bench.generator import Job
from launcher.errors import DeadlineError, PreconditionError
from launcher.host import processes
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.target import Target
from tests.support import ROOT, stub_generator
from tests.support.decoded import JsonDict
from tests.support.waiting import wait_for

SECRET = "sk-secret-of-the-test"
TARGET = Target("t", "url", Endpoint("http://127.0.0.1:1/v1", "m", SECRET), "m")
JOB = Job("closed", 2.0, 6, 2, 5.0)


def run(home: Path, tmp_path: Path, *plans: JsonDict, job: Job = JOB) -> generator.Ran:
    stub_generator.install(home, *plans)
    generator.write_inputs(tmp_path, [{"model": "m"}])
    return generator.run_job(generator.find_program(), TARGET, tmp_path, job)


def test_a_job_brings_a_record_for_each_request(home: Path, tmp_path: Path) -> None:
    ran = run(home, tmp_path, {"ttft": 0.25})
    assert [one.is_warm_up for one in ran.records].count(True) == 2
    measured = [one for one in ran.records if not one.is_warm_up]
    assert len(measured) == 6
    assert all(0.2 < (one.ttft or 0) < 0.3 for one in measured)
    assert ran.begin < measured[0].begin < ran.end


def test_the_key_is_in_the_environment_and_nowhere_else(home: Path, tmp_path: Path) -> None:
    run(home, tmp_path)
    (start,) = stub_generator.starts(home / "engines" / "bench-0.13.0")
    assert start["env"][generator.KEY_VARIABLE] == SECRET
    assert SECRET not in json.dumps([start["argv"], start["config"]])
    assert start["config"]["benchmark"]["endpoint"]["api_key"] == "${ERNIE_DEPLOY_BENCH_KEY}"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET not in path.read_text()


def test_headers_go_by_the_environment_too() -> None:
    endpoint = dataclasses.replace(TARGET.endpoint, headers={"X-Title": "a", "X-Key": SECRET})
    target = dataclasses.replace(TARGET, endpoint=endpoint)
    config = generator.configuration(Path("/f"), target, JOB)
    env = generator.environment(target, "/t")
    assert SECRET not in json.dumps(config)
    assert SECRET in env.values()


def test_the_environment_of_the_user_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "x")
    monkeypatch.setenv("PYTHONPATH", "x")
    env = generator.environment(TARGET, "/t")
    assert not {"HF_TOKEN", "PYTHONPATH"} & set(env)
    assert env["HOME"] == env["TMPDIR"] == "/t"


def test_an_open_level_has_a_rate_and_its_arrivals() -> None:
    job = Job("open", 2.5, 60, 4, 30.0, "constant", 7)
    config: Any = generator.configuration(Path("/f"), TARGET, job)
    warm_up, load = config["benchmark"]["phases"]
    assert (load["type"], load["rate"], load["requests"], load["duration"]) == (
        "constant", 2.5, 60, 30.0,
    )  # fmt: skip
    assert (warm_up["concurrency"], warm_up["exclude_from_results"]) == (2, True)
    assert config["randomSeed"] == 7


def test_without_warm_up_there_is_no_phase_for_it() -> None:
    job = dataclasses.replace(JOB, warm_up=0)
    config: Any = generator.configuration(Path("/f"), TARGET, job)
    assert [phase["name"] for phase in config["benchmark"]["phases"]] == ["profiling"]


def test_a_failed_start_is_told_by_its_last_error_without_the_key(
    home: Path, tmp_path: Path
) -> None:
    with pytest.raises(PreconditionError) as caught:
        run(home, tmp_path, {"exit": 3})
    (problem,) = caught.value.problems
    assert problem.code == "generator-failed"
    assert "exit code 3" in problem.message
    assert "the planted reason; the key is ***" in problem.message


def test_exit_code_0_without_a_record_is_a_failure(home: Path, tmp_path: Path) -> None:
    """aiperf 0.13 ends so when its own sockets cannot be made."""
    with pytest.raises(PreconditionError, match="exit code 0"):
        run(home, tmp_path, {"exit": 0})


def test_the_records_of_the_job_before_are_not_read_again(home: Path, tmp_path: Path) -> None:
    run(home, tmp_path, {}, {"exit": 0})
    with pytest.raises(PreconditionError, match="exit code 0"):
        generator.run_job(generator.find_program(), TARGET, tmp_path, JOB)


def test_one_that_hangs_is_ended_at_its_deadline(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "START_SECONDS", 1.0)
    monkeypatch.setattr(generator, "GRACE", 0.0)
    monkeypatch.setattr(
        sys.modules[__name__], "TARGET", dataclasses.replace(TARGET, request_timeout=1.0)
    )
    with pytest.raises(DeadlineError) as caught:
        run(home, tmp_path, {"hang": True}, job=dataclasses.replace(JOB, seconds=1.0))
    assert caught.value.problems[0].code == "generator-deadline"


def test_without_the_generator_the_message_says_how_to_get_it(home: Path) -> None:
    with pytest.raises(PreconditionError) as caught:
        generator.find_program()
    assert caught.value.problems[0].code == "missing-generator"
    assert caught.value.problems[0].remedy == "ernie-deploy engine install bench"


def test_every_process_of_its_session_ends_with_it() -> None:
    code = "import subprocess, time\nsubprocess.Popen(['sleep', '500'])\n"
    code += "print(1, flush=True)\ntime.sleep(500)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    root = processes.look(process.pid)
    assert root is not None
    (child,) = processes.descendants(root)
    generator.end_session(process)
    process.stdout.close()
    wait_for(lambda: processes.look(child.pid) is None, "the child's end")


def test_ctrl_c_leaves_no_generator_behind(home: Path, tmp_path: Path) -> None:
    folder = stub_generator.install(home, {"hang": True})
    code = (
        "from pathlib import Path\nfrom launcher.bench import generator\n"
        "from tests.bench.test_generator import TARGET, JOB\n"
        f"folder = Path({str(tmp_path)!r})\ngenerator.write_inputs(folder, [])\n"
        "generator.run_job(generator.find_program(), TARGET, folder, JOB)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE)
    wait_for(lambda: stub_generator.starts(folder), "the generator's start")
    pid = stub_generator.starts(folder)[0]["pid"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    wait_for(lambda: processes.look(pid) is None, "the generator's end")
