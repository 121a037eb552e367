"""Why a start or a running engine is given up, said with the first cause that can be found."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import diagnose, paths
from launcher.errors import ExitCode, Problem
from launcher.keeper.command_line import program
from launcher.keeper.identity import Process
from launcher.keeper.state import LivenessRecord, State
from launcher.keeper.watch import PhaseMatch
from launcher.lifecycle import InstanceState
from launcher.plan.model import LaunchPlan
from launcher.probe.readiness import Rung
from launcher.redact import Redactor

ASKING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that ask a process to end; the others mean something worse."""

WHO_SENT = (
    "find who sent it: a person's `kill`, a script that stops every server of the host, the stop of"
    " a container or of a service; `ernie-deploy down NAME` is the way to stop it"
)


@dataclass(frozen=True)
class Failure:
    """A decision to give up.

    `certain`: the problem names the cause itself, and the logs are not asked for a better one.
    `retry`: starting again unchanged can help; None where nothing tells.
    """

    problem: Problem
    exit_code: ExitCode
    certain: bool = True
    retry: bool | None = False

    def without_secrets(self, redactor: Redactor) -> Failure:
        """The same with what engines print of their keys taken out."""
        return dataclasses.replace(self, problem=without_secrets(self.problem, redactor))

    @classmethod
    def from_line(cls, match: PhaseMatch, state: InstanceState) -> Failure:
        """A fatal line was printed; a summary line only points at a cause that stands elsewhere."""
        code = ExitCode.DIED if state == InstanceState.READY else ExitCode.DID_NOT_START
        problem = Problem(
            match.rule.id, match.cause(), f"{match.file}: {match.text}", match.remedy()
        )
        if match.rule.summary:  # it knows nothing of the cause, nor whether that comes again
            return cls(problem, code, certain=False, retry=match.rule.retry or None)
        return cls(problem, code, retry=match.rule.retry)

    @classmethod
    def from_exit(cls, code: int | None, state: InstanceState) -> Failure:
        """The first process ended; before ready that is a failure whatever its exit code says."""
        how, whose, remedy = ended(code), "", None
        if code is not None and -code in ASKING:
            whose, remedy = ", which ernie-deploy did not send", WHO_SENT
        if state == InstanceState.READY:
            summary = f"the engine was ready and {how}{whose}"
            problem = Problem("engine-died", summary, None, remedy)
            return cls(problem, ExitCode.DIED, certain=False, retry=True)
        summary = f"the engine {how} before it was ready{whose}"
        problem = Problem("engine-exited", summary, None, remedy)
        return cls(problem, ExitCode.DID_NOT_START, certain=False, retry=None)

    @classmethod
    def from_stranger(cls, signal_name: str, line: str, state: InstanceState) -> Failure:
        """The engine says that it was told to stop, and we had not told it."""
        how = "was ready and " if state == InstanceState.READY else ""
        problem = Problem(
            "external-signal",
            f"the engine {how}was told to stop by {signal_name}, which ernie-deploy did not send",
            line.strip(),
            WHO_SENT,
        )
        code = ExitCode.DIED if state == InstanceState.READY else ExitCode.DID_NOT_START
        return cls(problem, code, retry=True)

    @classmethod
    def from_vital(
        cls, line: str, process: Process, state: InstanceState, code: int | None
    ) -> Failure:
        """A process without which the engine cannot work has died; `code` where it is known."""
        message = (
            f"the engine's process {process.pid} ({program(line, process.name)}) {ended(code)}"
        )
        if state == InstanceState.READY:
            return cls(Problem("worker-died", message), ExitCode.DIED, certain=False, retry=True)
        return cls(
            Problem("worker-died", message), ExitCode.DID_NOT_START, certain=False, retry=None
        )

    @classmethod
    def from_rung(cls, rung: Rung) -> Failure:
        """The readiness ladder says that waiting will not help."""
        problem = Problem(rung.code or rung.name, rung.message, None, rung.remedy)
        hangs = rung.code == "completion-timeout"
        if hangs:
            return cls(problem, ExitCode.DEADLINE, retry=None)
        return cls(problem, ExitCode.DID_NOT_START)

    @classmethod
    def from_stall(cls, verdict: LivenessRecord) -> Failure:
        """The server is ready and does not work: see `launcher.liveness.judge`."""
        message = f"the engine was ready and is stalled: {'; '.join(verdict.reasons)}"
        remedy = (
            "`ernie-deploy explain engine-stalled` tells how that is judged; if this load is that"
            " slow, raise `liveness.stall-after` in the profile"
        )
        return cls(Problem("engine-stalled", message, None, remedy), ExitCode.DIED, retry=True)

    @classmethod
    def startup_deadline(cls, plan: LaunchPlan, state: State, rung: Rung | None) -> Failure:
        """The whole start took longer than the profile allows."""
        where = f"in phase {state.phase!r}" if state.phase else "before its first phase line"
        percent = f" at {state.percent:.0f} %" if state.percent is not None else ""
        last_answer = f"; the last answer was: {rung.message}" if rung else ""
        problem = Problem(
            "startup-timeout",
            f"not ready after {plan.deadlines.startup:g} s, {where}{percent}{last_answer}",
            None,
            "if this model needs longer, raise `health.startup-timeout` in the profile",
        )
        return cls(problem, ExitCode.DEADLINE, retry=None)

    @classmethod
    def no_progress(
        cls,
        plan: LaunchPlan,
        state: State,
        processes: list[Process],
        lines: Mapping[int, str],
    ) -> Failure:
        """Neither phase lines nor work for the time the profile allows.

        `lines` are the command lines of `processes`, by pid: a worker is named by its program.
        """
        stopped = [p for p in processes if p.state in "Tt"]
        where = f" in phase {state.phase!r}" if state.phase else ""
        rule = plan.progress
        whose = " by each worker" if rule.workers else ""
        message = (
            f"no progress for {plan.deadlines.no_progress:g} s{where}: no phase line, and on"
            f" average under {rule.cpu:.0%} of a core and {rule.io / 1024:g} KiB/s of input and"
            f" output{whose}"
        )
        remedy: str | None = "if this load is that quiet, raise `health.no-progress-timeout`"
        if stopped:
            names = ", ".join(f"{p.pid} ({program(lines.get(p.pid, ''), p.name)})" for p in stopped)
            message += f"; stopped by a signal (SIGSTOP): {names}"
            remedy = f"`kill -CONT {stopped[0].pid}` would let it go on; find who stopped it"
        return cls(Problem("no-progress", message, None, remedy), ExitCode.DEADLINE, retry=None)


def without_secrets(problem: Problem, redactor: Redactor) -> Problem:
    """`problem`, which may quote a log or an answer, without what is or looks like a secret."""
    where = redactor.text(problem.where) if problem.where else None
    return dataclasses.replace(problem, message=redactor.text(problem.message), where=where)


def ended(code: int | None) -> str:
    """How a process ended, in words; `code` as subprocess says it."""
    if code is None:
        return "ended"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (out of memory, or a kill -9)" if code == -9 else ""
        return f"was killed by {name}{hint}"
    return f"ended with exit code {code}"


def explain(failure: Failure, plan: LaunchPlan, folder: Path, state: State) -> Failure:
    """The failure with the cause from the logs, where they know a better one.

    What the logs say also decides whether starting again can help.
    """
    if failure.certain:
        return failure
    try:
        return _explained(failure, plan, folder, state)
    except Exception as error:  # rules are data, of third parties too; the end is told regardless
        traceback.print_exc()
        own = failure.problem
        summary = f"{own.message}; its logs could not be judged ({error!r})"
        return dataclasses.replace(failure, problem=dataclasses.replace(own, message=summary))


def _explained(failure: Failure, plan: LaunchPlan, folder: Path, state: State) -> Failure:
    when = "ready" if failure.exit_code is ExitCode.DIED else "loading"
    diagnosis = diagnose.of_instance(
        Path(plan.log_folder),
        folder / "logs" / paths.CONSOLE,
        plan.failure_rules,
        log_rules=diagnose.log_rules_of(plan),
        exit_code=state.evident_exit,
        state=when,
        noise=plan.noise,
        since=state.started_at,
        until=state.log_lengths,
        served=state.ready_at,
    )
    own = failure.problem
    evidence = diagnosis.evidence or next(iter(diagnosis.first_errors), None)
    where = own.where
    if evidence:
        where = f"{evidence.file}:{evidence.line}: {evidence.text}" if evidence.line else own.where
    remedy = f"`ernie-deploy logs {plan.instance}` shows the rest"
    full = _full_disk(plan.log_folder, str(folder)) if diagnosis.rule_id is None else None
    if full:
        suffix = f"; its last words are lost: the disk of {full} is full"
        remedy = f"df -h {full}; free some space"
        problem = Problem("disk-full", own.message + suffix, where, remedy)
        return dataclasses.replace(failure, problem=problem, retry=False)
    worker = ""
    # With 0 it was told to go, which is not a cause.
    if state.worker_exit and ended(state.worker_exit) not in own.message:
        worker = f" (a worker {ended(state.worker_exit)})"
    if diagnosis.rule_id is None:
        nothing = "" if state.worker_exit else "; its logs name no cause"  # the code is known
        suffix = worker + (
            f"; the first error in its logs: {evidence.text}" if evidence else nothing
        )
        if own.remedy:
            # The external signal is the cause already; what then failed is its consequence.
            suffix, where = "", own.where
        problem = Problem(own.code, own.message + suffix, where, own.remedy or remedy)
        return dataclasses.replace(failure, problem=problem)
    if diagnosis.kind == "summary" and (diagnosis.first_errors or worker):
        # A line that only sums up is not a cause; what no rule knows may be one.
        error = next(iter(diagnosis.first_errors), None)
        suffix = f"; the first error in its logs: {error.text}" if error else ""
        where = f"{error.file}:{error.line}: {error.text}" if error else where
        problem = Problem(
            diagnosis.rule_id, own.message + worker + suffix, where, diagnosis.remedy or remedy
        )
    elif diagnosis.rule_id == own.code:
        problem = Problem(own.code, own.message + worker, where, own.remedy or remedy)
    else:
        message = f"{own.message}{worker}: {diagnosis.cause}"
        problem = Problem(diagnosis.rule_id, message, where, diagnosis.remedy or remedy)
    # A line that only sums up knows nothing of the cause, nor whether that comes again.
    retry = failure.retry if diagnosis.kind == "summary" else diagnosis.retry
    return dataclasses.replace(failure, problem=problem, retry=retry)


NO_ROOM = 64 * 1024
"""Bytes below which a file system is full: a log takes its space in steps of some kilobytes."""


def _full_disk(*folders: str) -> str | None:
    """The first of the folders whose file system has no room for a log's next lines."""
    for folder in folders:
        with contextlib.suppress(OSError):
            info = os.statvfs(folder)
            if info.f_frsize * info.f_bavail < NO_ROOM:
                return folder
    return None
