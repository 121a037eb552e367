"""The stand-in FastDeploy fails in every recorded way; its logs get the right rule first.

The server is started without ernie-deploy: no keeper, its output in a file, its logs in ./log.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.diagnose import Diagnosis, of_folder
from tests.twin.conftest import Start, interpreter, start
from tests.twin.driver import Twin
from tests.twin.test_twin_say import FATAL, HARMLESS, ROWS, SERVING, seen_at

__all__ = ["interpreter", "start"]  # the twin's fixtures


def diagnosed(twin: Twin, state: str = "loading", exit_code: int | None = None) -> Diagnosis:
    """What is found in everything that the server wrote."""
    return of_folder(twin.folder, "fastdeploy", state=state, exit_code=exit_code)


def rule_ids(identity: str) -> tuple[str, str]:
    """A recorded failure's rule: one of FastDeploy's own, or one of any process."""
    return f"ED-FD-{identity.upper()}", f"ED-{identity.upper()}"


@pytest.mark.parametrize("identity", FATAL)
def test_every_fatal_signature_is_the_first_answer(start: Start, identity: str) -> None:
    twin = start(fault=f"say@id={identity}", scale=0.005)
    code = twin.wait()
    answer = diagnosed(twin, exit_code=code)
    assert answer.rule_id in rule_ids(identity), answer


@pytest.mark.parametrize("identity", SERVING)
def test_every_signature_of_serving_is_the_first_answer(start: Start, identity: str) -> None:
    twin = start(fault=f"say@id={identity}").wait_ready()
    twin.wait_said(ROWS[identity][4], seen_at(ROWS[identity][1]))
    assert diagnosed(twin, "ready").rule_id in rule_ids(identity)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("worker-dies-in-init@code=3", "ED-FD-WORKER-LAUNCH-FAILED"),
        ("worker-dies-in-load@signal=9", "ED-FD-HOST-RAM"),
        ("worker-out-of-memory", "ED-FD-CUDA-OOM"),
        ("launch-fails", "ED-FD-GPU-NOT-IN-LIST"),
        ("port-taken-while-loading", "ED-FD-API-PORT-TAKEN"),
    ],
)
def test_faults_in_the_load(start: Start, fault: str, rule: str) -> None:
    twin = start(fault=fault)
    code = twin.wait()
    assert diagnosed(twin, exit_code=code).rule_id == rule


def test_a_server_that_hangs_after_its_worker_died(start: Start) -> None:
    twin = start(fault="worker-dies-in-profiling")
    twin.wait_said("Failed to launch worker processes")
    assert twin.process.poll() is None
    assert diagnosed(twin).rule_id == "ED-FD-BLOCKS-NEGATIVE"


def test_a_worker_killed_while_serving(start: Start) -> None:
    # Long enough after the worker was ready for the front end to be serving, on any machine.
    twin = start(fault="worker-dies-after-ready@after=100@signal=9").wait_ready()
    twin.wait_said("Worker process has died in the background")
    answer = diagnosed(twin, "ready")
    assert answer.rule_id == "ED-FD-HOST-RAM", answer
    assert answer.retry


def healthy(twin: Twin) -> None:
    twin.wait_ready()
    twin.chat("Hello")
    twin.stream("What is CUDA error(700), an illegal memory access was encountered?")
    assert twin.http("POST", "/v1/chat/completions", {"messages": "x"})[0] == 400


@pytest.mark.parametrize("release", ["2.0", "2.1", "2.2", "2.3", "2.4"])
def test_no_false_answer_on_a_healthy_run(start: Start, release: str) -> None:
    """Start, answers, a client's mistake, a clean stop: nothing of it is a failure."""
    twin = start(release=release)
    healthy(twin)
    assert diagnosed(twin, "ready").rule_id is None
    twin.stop()
    twin.wait_gone()
    answer = diagnosed(twin, "ready")
    assert answer.rule_id is None, answer
    assert answer.files > 3


@pytest.mark.parametrize("identity", HARMLESS)
def test_harmless_lines_are_no_failure(start: Start, identity: str) -> None:
    twin = start(fault=f"say@id={identity}").wait_ready()
    answer = diagnosed(twin, "ready")
    # The mismatch of Paddle is worth a warning, and no more than that.
    expected = "warning" if identity == "paddle-commit-mismatch" else ""
    assert answer.kind == expected, answer


def test_the_noise_of_a_start(start: Start) -> None:
    twin = start(fault="noise").wait_ready()
    assert diagnosed(twin, "ready").rule_id is None


def test_only_the_last_start_of_a_folder_counts(
    start: Start, interpreter: Callable[[str], Path]
) -> None:
    """FastDeploy appends to its logs: an earlier failure is not an answer for a healthy start."""
    first = start(fault="say@id=weight-not-found", scale=0.005)
    first.wait()
    assert diagnosed(first).rule_id == "ED-FD-WEIGHT-NOT-FOUND"
    # Times in the logs count milliseconds, those of a traceback only the record before it.
    # Both share a folder, so that ending the first one ends and removes everything of both.
    again = Twin(interpreter("2.4"), first.folder, first.ports)
    healthy(again)
    assert diagnosed(again, "ready").rule_id is None
    again.stop()
    again.wait_gone()
