"""Why a start or a running engine was given up."""

from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import ExitCode, Problem
from launcher.files import lengths
from launcher.keeper.failure import Failure, ended, explain
from launcher.keeper.identity import Process
from launcher.keeper.state import State
from launcher.lifecycle import InstanceState
from launcher.plan.model import FailureRule, ProgressRule
from launcher.redact import Redactor
from tests.keeper.test_watch import PLAN


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-9, "was killed by SIGKILL"),
        (-11, "was killed by SIGSEGV"),
        (-200, "was killed by signal 200"),
        (None, "ended"),
    ],
)
def test_how_a_process_ended_in_words(code: int | None, expected: str) -> None:
    assert ended(code).startswith(expected)


def test_an_exit_before_ready_has_failed_and_after_it_has_died() -> None:
    before, after = (
        Failure.from_exit(0, InstanceState.LOADING),
        Failure.from_exit(0, InstanceState.READY),
    )
    assert (before.exit_code, before.retry) == (ExitCode.DID_NOT_START, None)
    assert (after.exit_code, after.retry) == (ExitCode.DIED, True)


def logged(tmp_path: Path, text: str) -> Path:
    (tmp_path / "logs").mkdir()
    record = "2026-01-02T03:04:05.000000Z stderr F "
    (tmp_path / "logs" / "engine.log").write_text(
        "".join(f"{record}{line}\n" for line in text.splitlines())
    )
    return tmp_path


RULE = FailureRule("ED-X-CAUSE", "ValueError: (?P<what>.+)", "{what} is bad", "fix {what}",
                   fatal=False)  # fmt: skip


def test_the_cause_is_looked_up_in_the_logs(tmp_path: Path) -> None:
    folder = logged(tmp_path, "Loading\nValueError: layer 7")
    plan = replace(PLAN, failure_rules=(RULE,), log_folder=str(tmp_path / "none"))
    failure = explain(Failure.from_exit(1, InstanceState.LOADING), plan, folder, State("one", "t"))
    assert failure.problem.code == "ED-X-CAUSE"
    assert "layer 7 is bad" in failure.problem.message
    assert failure.problem.remedy == "fix layer 7"


def test_without_a_rule_the_first_error_is_shown(tmp_path: Path) -> None:
    folder = logged(tmp_path, "Loading\nKeyError: 'odd'")
    plan = replace(PLAN, failure_rules=(), log_folder=str(tmp_path / "none"))
    failure = explain(Failure.from_exit(1, InstanceState.LOADING), plan, folder, State("one", "t"))
    assert failure.problem.code == "engine-exited"
    assert "KeyError: 'odd'" in failure.problem.message


@pytest.mark.parametrize(
    "rule", [replace(RULE, id="nodash"), replace(RULE, pattern="(", id="ED-X-BROKEN")]
)
def test_a_rule_that_cannot_be_used_does_not_hide_the_end(
    tmp_path: Path, rule: FailureRule
) -> None:
    folder = logged(tmp_path, "ValueError: layer 7")
    plan = replace(PLAN, failure_rules=(rule,), log_folder=str(tmp_path / "none"))
    failure = explain(Failure.from_exit(1, InstanceState.LOADING), plan, folder, State("one", "t"))
    assert failure.exit_code is ExitCode.DID_NOT_START
    assert "exit code 1 before it was ready" in failure.problem.message


def test_a_failure_quotes_no_secret() -> None:
    failure = Failure.from_vital(
        "python --api-key hush-hush-hush", _process(), InstanceState.READY, None
    )
    hidden = failure.without_secrets(Redactor(["hush-hush-hush"]))
    assert "hush" not in hidden.problem.message


def _process() -> Process:
    return Process(1, 1, 1, 1, "hush-hush-hush")


def test_a_line_that_only_sums_up_is_not_given_as_the_cause(tmp_path: Path) -> None:
    """The error that no rule knows is; else the worker's exit code says more than the summary."""
    summary = FailureRule("ED-X-SUM", "workers failed", "this line only sums up", "see above",
                          fatal=False, summary=True)  # fmt: skip
    plan = replace(PLAN, failure_rules=(summary,), log_folder=str(tmp_path / "none"))
    folder = logged(tmp_path, "RuntimeError: libfoo is broken\nworkers failed")
    state = State("one", "t", worker_exit=3)
    failure = explain(Failure.from_exit(0, InstanceState.LOADING), plan, folder, state)
    assert failure.problem.code == "ED-X-SUM"
    assert failure.problem.message == (
        "the engine ended with exit code 0 before it was ready (a worker ended with exit code 3);"
        " the first error in its logs: RuntimeError: libfoo is broken"
    )
    (folder / "logs" / "engine.log").write_text(
        "2026-01-02T03:04:05.000000Z stderr F workers failed\n"
    )
    failure = explain(Failure.from_exit(0, InstanceState.LOADING), plan, folder, state)
    assert "sums up" not in failure.problem.message


@pytest.mark.parametrize("state", [InstanceState.LOADING, InstanceState.READY])
def test_a_signal_that_somebody_sent_is_the_cause(tmp_path: Path, state: InstanceState) -> None:
    folder = logged(tmp_path, "Loading\nFileNotFoundError: what a worker met at the end")
    plan = replace(PLAN, log_folder=str(tmp_path / "none"))
    failure = explain(Failure.from_exit(-2, state), plan, folder, State("one", "t"))
    assert "killed by SIGINT" in failure.problem.message
    assert failure.problem.message.endswith("which ernie-deploy did not send")
    assert failure.problem.remedy
    assert "find who sent it" in failure.problem.remedy


def test_a_vital_process_is_told_with_its_exit_code() -> None:
    """Also where no rule knows its logs."""
    line = "/venv/bin/python -u /site/fastdeploy/worker/worker_process.py --model m"
    failure = Failure.from_vital(line, _process(), InstanceState.LOADING, 7)
    assert "(worker_process.py) ended with exit code 7" in failure.problem.message
    killed = Failure.from_vital(line, _process(), InstanceState.READY, -9)
    assert "(worker_process.py) was killed by SIGKILL" in killed.problem.message
    unknown = Failure.from_vital(line, _process(), InstanceState.READY, None)
    assert unknown.problem.message.endswith("(worker_process.py) ended")


CAUSES = {
    "a rule": ("ValueError: layer 7", None, None, "layer 7 is bad"),
    "an unknown error": ("KeyError: 'odd'", None, None, "KeyError: 'odd'"),
    "a worker's code": ("", 7, None, "exit code 7"),
    "the engine's own code": ("", None, 3, "exit code 3"),
}
"""What stood in the logs before our first signal, the worker's and the engine's code, the words."""
STOPS = {
    "as asked": ("", 0),
    "by SIGTERM": ("", -15),
    "killed": ("", -9),
    "aborted": ("Assertion failed: pfd.revents & POLLIN (src/signaler.cpp:238)", -6),
    "interrupted": ("KeyboardInterrupt\nFailed to launch worker processes", -2),
    "with a traceback": ("Traceback (most recent call last):\nValueError: a queue is gone", 1),
}
"""What the engine wrote after our first signal, and what it ended with."""
LATE = (
    FailureRule("ED-X-ZMQ", "Assertion failed", "zmq aborted", "x", fatal=False, retry=True),
    FailureRule("ED-X-LAUNCH", "Failed to launch", "a launch failed", "x", fatal=False),
    FailureRule("ED-KILLED", "never in a log", "the memory killer", "x", fatal=False, retry=True),
)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("cause", CAUSES)
def test_what_follows_our_first_signal_is_no_cause(cause: str, stop: str, tmp_path: Path) -> None:
    text, worker, own, cause_texts = CAUSES[cause]
    late, code = STOPS[stop]
    folder = logged(tmp_path, f"Loading\n{text}")
    state = State("one", "t", log_lengths=lengths(folder / "logs"), worker_exit=worker)
    with (folder / "logs" / "engine.log").open("a") as log:
        log.writelines(f"2026-01-02T03:04:09.000000Z stderr F {x}\n" for x in late.splitlines())
    (folder / "logs" / "later.log").write_text(f"{late}\n")
    state.engine_exit, state.exit_is_ours = (code, True) if own is None else (own, False)
    plan = replace(PLAN, failure_rules=(RULE, *LATE), log_folder=str(folder / "logs"))
    died = Failure.from_exit(own, InstanceState.READY)
    failure = explain(died, plan, folder, state)
    assert cause_texts in failure.problem.message
    for wrong in ("zmq", "launch failed", "memory killer", "queue is gone"):
        assert wrong not in failure.problem.message
    assert failure.problem.code in ("ED-X-CAUSE", "engine-died")


@pytest.mark.parametrize("name", ["no-progress", "startup-timeout", "settings-differ"])
@pytest.mark.parametrize("stop", STOPS)
def test_what_is_certain_stays_what_it_is(name: str, stop: str, tmp_path: Path) -> None:
    late, code = STOPS[stop]
    folder = logged(tmp_path, late)
    state = State("one", "t", log_lengths={}, engine_exit=code, exit_is_ours=True)
    failure = Failure(Problem(name, "why"), ExitCode.DEADLINE)
    assert explain(failure, replace(PLAN, failure_rules=LATE), folder, state) == failure


def test_a_load_without_progress_is_explained_with_both_bars() -> None:
    plan = replace(PLAN, progress=ProgressRule(cpu=0.05, io=2048.0))
    failure = Failure.no_progress(plan, State("one", "t"), [], {})
    assert (failure.problem.code, failure.exit_code) == ("no-progress", ExitCode.DEADLINE)
    assert failure.problem.message == (
        f"no progress for {plan.deadlines.no_progress:g} s: no phase line, and on average under "
        "5% of a core and 2 KiB/s of input and output"
    )
    assert failure.problem.remedy == (
        "if this load is that quiet, raise `health.no-progress-timeout`"
    )


def test_a_stopped_process_explains_a_load_without_progress() -> None:
    plan = replace(PLAN, progress=ProgressRule(workers=("worker",), cpu=0.05, io=2048.0))
    processes = [
        Process(5, 1, 5, 1, "ok", "S"), Process(6, 1, 5, 1, "halted", "T"),
        Process(7, 1, 5, 1, "traced", "t"),
    ]  # fmt: skip
    state = State("one", "t", phase="weights")
    problem = Failure.no_progress(plan, state, processes, {}).problem
    assert " in phase 'weights': no phase line" in problem.message
    assert problem.message.endswith(
        "output by each worker; stopped by a signal (SIGSTOP): 6 (halted), 7 (traced)"
    )
    assert problem.remedy == "`kill -CONT 6` would let it go on; find who stopped it"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-9, "was killed by SIGKILL (out of memory, or a kill -9)"),
        (-8, "was killed by SIGFPE"),
        (-10, "was killed by SIGUSR1"),
        (-999, "was killed by signal 999"),
    ],
)
def test_only_a_sigkill_hints_at_memory(code: int, text: str) -> None:
    assert ended(code) == text


def test_a_worker_that_ended_is_named_beside_the_cause(tmp_path: Path) -> None:
    folder = logged(tmp_path, "ValueError: layer 7")
    plan = replace(PLAN, failure_rules=(RULE,), log_folder=str(tmp_path / "none"))
    state = State("one", "t", worker_exit=-11)
    message = explain(
        Failure.from_exit(1, InstanceState.LOADING), plan, folder, state
    ).problem.message
    assert message.endswith(" (a worker was killed by SIGSEGV): layer 7 is bad"), message
    same_rule = replace(RULE, id=Failure.from_exit(1, InstanceState.LOADING).problem.code)
    same_plan = replace(plan, failure_rules=(same_rule,))
    problem = explain(Failure.from_exit(1, InstanceState.LOADING), same_plan, folder, state).problem
    assert problem.message.endswith(" was ready (a worker was killed by SIGSEGV)")
    assert problem.where == "engine.log:1: ValueError: layer 7"


def test_an_unknown_error_from_before_it_worked_is_not_why_it_died(tmp_path: Path) -> None:
    """FastDeploy logs errors at every start that do not matter to it."""
    folder = logged(tmp_path, "KeyError: 'odd'")
    plan = replace(PLAN, failure_rules=(), log_folder=str(tmp_path / "none"))
    worked = 1767323045.0 + 60  # 2026-01-02T03:04:05Z is when the line was written
    state = State("one", "t", started_at=1767323045.0 - 60, ready_at=worked)
    failure = explain(Failure.from_exit(7, InstanceState.READY), plan, folder, state)
    assert "KeyError" not in failure.problem.message
    assert failure.retry
    with (folder / "logs" / "engine.log").open("a") as log:
        log.write("2026-01-02T03:06:05.000000Z stderr F RuntimeError: it broke\n")
    failure = explain(Failure.from_exit(7, InstanceState.READY), plan, folder, state)
    assert "RuntimeError: it broke" in failure.problem.message
    assert "KeyError" not in failure.problem.message


def test_a_line_that_only_sums_up_does_not_decide_about_a_retry(tmp_path: Path) -> None:
    """A server that worked may work again; of a start that failed so nothing is known."""
    for name, ready, retries in (("a", 1.0, True), ("b", None, None)):
        summary = FailureRule("ED-X-SUM", "workers failed", "it only sums up", "see above",
                              fatal=False, summary=True, retry=not retries)  # fmt: skip
        plan = replace(PLAN, failure_rules=(summary,), log_folder=str(tmp_path / "none"))
        (tmp_path / name).mkdir()
        folder = logged(tmp_path / name, "workers failed")
        state = State("one", "t", ready_at=ready, worker_exit=7)
        failure = Failure.from_exit(7, InstanceState.READY if ready else InstanceState.LOADING)
        assert explain(failure, plan, folder, state).retry is retries
