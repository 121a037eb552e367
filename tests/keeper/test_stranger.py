"""A stranger's signal behind a worker's death."""

import pytest

from launcher.errors import ExitCode
from launcher.keeper.failure import Failure
from launcher.keeper.identity import Process
from launcher.keeper.stranger import behind
from launcher.lifecycle import InstanceState

WORKER = Process(7, 1, 1, 7, "python")
OWN = ("SIGINT",)


def died(state: InstanceState = InstanceState.READY) -> Failure:
    return Failure.from_vital("python worker_process.py", WORKER, state, 1)


@pytest.mark.parametrize(
    ("state", "exit_code"),
    [
        (InstanceState.READY, ExitCode.DIED),
        (InstanceState.LOADING, ExitCode.DID_NOT_START),
    ],
)
def test_the_engines_own_line_names_the_signal(state: InstanceState, exit_code: ExitCode) -> None:
    better = behind(died(state), ("SIGTERM", "Handling signal: term"), None, OWN)
    assert better is not None
    assert (better.problem.code, better.exit_code) == ("external-signal", exit_code)
    assert better.problem.where == "Handling signal: term"


@pytest.mark.parametrize("code", [-15, -9, -3, -1])
def test_a_first_process_that_a_signal_ended_names_it(code: int) -> None:
    better = behind(died(), None, code, OWN)
    assert better is not None
    assert better.problem.code == "engine-died"


@pytest.mark.parametrize("code", [None, 0, 1, -6, -11, -2])
def test_what_a_dead_worker_itself_brings_about_is_no_stranger(code: int | None) -> None:
    """An abort, a crash, an exit code, and the signal that the engine sends itself."""
    assert behind(died(), None, code, OWN) is None
    assert behind(died(), ("SIGINT", "Handling signal: int"), code, OWN) is None


def test_another_failure_stays_what_it_is() -> None:
    stalled = Failure.from_exit(1, InstanceState.READY)
    assert behind(stalled, ("SIGTERM", "Handling signal: term"), -15, OWN) is None
