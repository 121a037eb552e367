"""`diagnose NAME`: what the instance's own record says first, then the first cause in its logs.

A log cannot tell that a keeper was killed, nor that a `down` ended the server, and what it was
given up for stands in its state: the logs alone would say "nothing wrong" where we know better.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher.codec import written
from launcher.diagnose import Diagnosis, Evidence, log_lengths, log_rules_of, of_instance
from launcher.diagnose.diagnosis import LogDiagnosis
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.store import InstanceDir, view
from launcher.json_values import at, text_at
from launcher.keeper.events import read_events
from launcher.keeper.identity import this_host
from launcher.keeper.state import EndError, State
from launcher.lifecycle import LIVE, UNSUCCESSFUL, InstanceState
from launcher.result import Result


@dataclass(frozen=True)
class Report:
    """What an instance's record says of its end; `name` is a state, or how it came to stand."""

    name: str
    message: str
    where: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Answers:
    """What the server of a ready instance answered to GET /health and to a short completion."""

    health: str
    completion: str | None = None


@dataclass(frozen=True)
class InstanceDiagnosis(LogDiagnosis):
    """`diagnose NAME`: what its record says (None: it runs), what it answers, what its logs show.

    `newest_lines` are the newest lines of the logs of a server that is not well.
    """

    state: Report | None = None
    answers: Answers | None = field(default=None, metadata=written(omit=True))
    newest_lines: tuple[Evidence, ...] | None = field(default=None, metadata=written(omit=True))


def first_cause(instance: InstanceDir) -> Result[InstanceDiagnosis]:
    """The instance's state and why it is so, and the first cause that its logs show.

    Raises:
        PreconditionError: nothing is known: its plan cannot be read, or it runs and has no logs.
    """
    plan = instance.plan()
    name, state, note = view(instance)
    report = _report_of(instance, name, state, note)
    ended_by_us = report is not None and report.name == InstanceState.STOPPED
    diagnosis = of_instance(
        _engine_logs(instance, plan.log_folder),
        instance.engine_log,
        plan.failure_rules,
        log_rules=log_rules_of(plan),
        # Of a server that we stopped the code tells only which signal we sent.
        exit_code=state.evident_exit if state and not ended_by_us else None,
        state="ready" if state and state.ready_at else "loading",
        noise=plan.noise,
        # Of a damaged state the logs tell what happened, of every start they hold.
        since=state.started_at if state else None,
        until=_until(instance, state),
        # Of one that did not die, every error line is worth a look: none of them has ended it.
        served=state.ready_at if state and _failed(state) else None,
    )
    if not diagnosis.files and report is None:
        raise PreconditionError.of(
            "no-logs", f"{instance.name} has no logs", str(instance.logs),
            f"`ernie-deploy status {instance.name}`",
        )  # fmt: skip
    is_failure = diagnosis.rule_id is not None
    if not ended_by_us:
        is_failure = diagnosis.conclusive or report is not None
    if report is not None:
        error = state.error if state is not None else None
        if error is not None and error.retry is not None:
            # What the keeper decided, with all that it saw: an unknown line in a log knows less.
            diagnosis = replace(diagnosis, retry=error.retry)
        if error is not None and error.certain:
            diagnosis = _as_decided(diagnosis, error, report)
        elif not diagnosis.conclusive:
            diagnosis = replace(diagnosis, cause=report.message, remedy=report.remedy or "")
        elif ended_by_us and diagnosis.rule_id is None:
            # Lines that no rule knows did not end it: a command did.
            diagnosis = errors_as_note(diagnosis, "it did not end by them")
            diagnosis = replace(diagnosis, cause=report.message, remedy=report.remedy or "")
    data = InstanceDiagnosis(diagnosis, str(instance.logs), report)
    code = ExitCode.NEGATIVE if is_failure else ExitCode.DONE
    return Result("diagnose", data, instance.name, code)


def _engine_logs(instance: InstanceDir, planned: str) -> Path:
    """Where the engine's own logs are: below the folder, which a service may have put aside."""
    moved = instance.logs / "engine"
    return moved if moved.is_dir() else Path(planned)


def _failed(state: State) -> bool:
    return not {state.state, state.previous_state}.isdisjoint(UNSUCCESSFUL)


def errors_as_note(diagnosis: Diagnosis, reason: str) -> Diagnosis:
    """The same with its unknown error lines as a note: they are not a cause, for this `reason`."""
    if not diagnosis.first_errors:
        return diagnosis
    one = diagnosis.first_errors[0]
    note = f"its logs hold error lines, the first at {one.file}:{one.line}: {one.text}"
    return replace(diagnosis, first_errors=(), notes=(*diagnosis.notes, f"{note} ({reason})"))


def _until(instance: InstanceDir, state: State | None) -> dict[str, int] | None:
    """How long the logs were before the first signal; of a killed keeper its guard noted that."""
    if state is None or state.log_lengths is not None:
        return state.log_lengths if state else None
    return log_lengths.of_start(instance.logs, state.token)


def _as_decided(diagnosis: Diagnosis, error: EndError, report: Report) -> Diagnosis:
    """The keeper's certain verdict is the rule or, where no rule has its name, the cause.

    What else the logs hold stands behind it: the keeper saw it too, and decided otherwise.
    """
    findings = (*([diagnosis.first] if diagnosis.first else []), *diagnosis.alternatives)
    chosen = next((one for one in findings if one.rule_id == error.code), None)
    rule = chosen.rule_id if chosen else None
    alternatives = tuple(one for one in findings if one.rule_id != rule)
    if chosen is None:
        decided = diagnosis.with_first(None, alternatives)
        decided = replace(decided, cause=report.message, remedy=report.remedy or "")
    else:
        decided = diagnosis.with_first(chosen, alternatives)
    return replace(decided, retry=diagnosis.retry)


def _report_of(
    instance: InstanceDir, name: InstanceState, state: State | None, note: str | None
) -> Report | None:
    """What the record says of an instance that does not run, None where it runs."""
    here = instance.name
    if name == InstanceState.LOST and state is not None and state.boot != this_host().boot:
        return Report(
            "rebooted", f"{here} is LOST: {note}", None,
            f"`ernie-deploy up` starts it, `ernie-deploy down {here}` acknowledges it",
        )  # fmt: skip
    if name == InstanceState.LOST:
        keeper = f" (pid {state.keeper.pid})" if state and state.keeper else ""
        return Report(
            InstanceState.LOST,
            f"{here} is LOST: its keeper{keeper} was killed, by a kill -9 or because memory"
            " ran out; its guard ends the engine within 30 s",
            None,
            f"`ernie-deploy up` cleans up and starts, `ernie-deploy down {here}` cleans up; the"
            " kernel's word on memory: `dmesg -T | grep -i 'killed process'`",
        )
    if name in (InstanceState.DAMAGED, InstanceState.FOREIGN, InstanceState.ABSENT):
        remedy = {"foreign": f"ask where it runs: `ernie-deploy diagnose {here}` there"}
        return Report(
            name, f"{here} is {name}: {note}", None,
            remedy.get(name, f"`ernie-deploy down {here}` cleans up"),
        )  # fmt: skip
    if state is None or name in LIVE:
        return None
    failed = state.state if state.state in UNSUCCESSFUL else state.previous_state
    if failed:
        error = state.error
        reason = error.message if error else ""
        return Report(
            failed,
            f"{here} has {failed}: {reason or 'the reason was not recorded'}",
            error.where if error else None,
            error.remedy if error else None,
        )
    return _stopped(instance, state)


def _stopped(instance: InstanceDir, state: State) -> Report:
    """Who ended it; only of the last end, for a history may hold several."""
    ends = [e for e in read_events(instance.folder) if at(e, "event") in ("stop", "cleaned")]
    last = ends[-1] if ends else {}
    ended = f" at {_clock(state.ended_at)}" if state.ended_at else ""
    if last.get("event") == "cleaned":
        return Report(
            "was-lost",
            f"the keeper of {instance.name} had been killed; what it left was cleaned up{ended}",
            None,
            "`dmesg -T | grep -i 'killed process'` shows whether memory ran out",
        )
    reason = text_at(last, "reason")
    who = {
        "down": "by `ernie-deploy down`",
        "interrupted": "by Ctrl-C in the `up` that started it",
        "SIGTERM": "by SIGTERM to its keeper (a supervisor, a container's stop)",
        "SIGINT": "by SIGINT to its keeper (Ctrl-C)",
    }.get(reason, f"because {reason}" if reason else "; who did it was not written down")
    when = f"ready since {_clock(state.ready_at)}" if state.ready_at else "not ready yet"
    return Report(InstanceState.STOPPED, f"{instance.name} was stopped {who}{ended}; it was {when}")


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
