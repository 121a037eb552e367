"""`diagnose NAME`: what the instance's own record says first, then the first cause in its logs.

A log cannot tell that a keeper was killed, nor that a `down` ended the server, and what it was
given up for stands in its state: the logs alone would say "nothing wrong" where we know better.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from launcher.diagnose import log_lengths, log_rules_of, of_instance
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.store import InstanceDir, view
from launcher.keeper.events import read_events
from launcher.keeper.identity import this_host
from launcher.keeper.state import State
from launcher.lifecycle import LIVE, UNSUCCESSFUL, InstanceState
from launcher.result import Result


@dataclass(frozen=True)
class Report:
    """What an instance's record says of its end; `name` is a state, or how it came to stand."""

    name: str
    message: str
    where: str | None = None
    remedy: str | None = None


def first_cause(instance: InstanceDir) -> Result:
    """The instance's state and why it is so, and the first cause that its logs show.

    Raises:
        PreconditionError: nothing is known: its plan cannot be read, or it runs and has no logs.
    """
    plan = instance.plan()
    name, state, note = view(instance)
    report = _report_of(instance, name, state, note)
    ended_by_us = report is not None and report.name == InstanceState.STOPPED
    diagnosis = of_instance(
        Path(plan.log_folder),
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
        served=state.ready_at if state and "died" in (state.state, state.was) else None,
    )
    if not diagnosis.files and report is None:
        raise PreconditionError.of(
            "no-logs", f"{instance.name} has no logs", str(instance.logs),
            f"`ernie-deploy status {instance.name}`",
        )  # fmt: skip
    data: dict[str, Any] = {**diagnosis.to_json(), "source": str(instance.logs), "state": None}
    if report is not None:
        data["state"] = asdict(report)
        if state is not None and state.error:
            # What the keeper decided, with all that it saw: an unknown line in a log knows less.
            data["retry"] = bool(state.error.get("retry", data["retry"]))
        if state is not None and state.error and state.error.get("certain"):
            data = _as_decided(data, state.error, report)
        elif not diagnosis.conclusive:
            data["cause"], data["remedy"] = report.message, report.remedy or ""
        elif ended_by_us and diagnosis.rule_id is None:
            # Lines that no rule knows did not end it: a command did.
            data = errors_as_note(data, "it did not end by them")
            data["cause"], data["remedy"] = report.message, report.remedy or ""
    is_failure = diagnosis.rule_id is not None
    if not ended_by_us:
        is_failure = diagnosis.conclusive or report is not None
    return Result(
        "diagnose", data, instance.name, ExitCode.NEGATIVE if is_failure else ExitCode.DONE
    )


def errors_as_note(data: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """`data` with its unknown error lines as a note: they are not a cause, for this `reason`."""
    errors = data["first_errors"]
    if not errors:
        return dict(data)
    one = errors[0]
    note = f"its logs hold error lines, the first at {one['file']}:{one['line']}: {one['text']}"
    return {**data, "first_errors": [], "notes": [*data["notes"], f"{note} ({reason})"]}


def _until(instance: InstanceDir, state: State | None) -> dict[str, int] | None:
    """How long the logs were before the first signal; of a killed keeper its guard noted that."""
    if state is None or state.log_lengths is not None:
        return state.log_lengths if state else None
    return log_lengths.of_start(instance.logs, state.token)


def _as_decided(data: dict[str, Any], error: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The keeper's certain verdict is the rule or, where no rule has its name, the cause.

    What else the logs hold stands behind it: the keeper saw it too, and decided otherwise.
    """
    keys = ("rule", "kind", "cause", "remedy", "retry", "evidence")
    first = {key: data[key] for key in keys}
    findings = [first, *data["others"]] if data["rule"] else data["others"]
    chosen = next((one for one in findings if one["rule"] == error.get("code")), None)
    if chosen is None:
        chosen = {"rule": None, "kind": "", "evidence": None}
    alternatives = [one for one in findings if one["rule"] != chosen["rule"]]
    decided = {"cause": report.message, "remedy": report.remedy or "", "retry": data["retry"]}
    return {**data, **decided, **chosen, "retry": data["retry"], "others": alternatives}


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
        keeper = f" (pid {state.keeper['pid']})" if state and state.keeper else ""
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
    failed = state.state if state.state in UNSUCCESSFUL else state.was
    if failed:
        error = state.error or {}
        return Report(
            failed,
            f"{here} has {failed}: {error.get('message') or 'why was not written down'}",
            error.get("where"),
            error.get("remedy"),
        )
    return _stopped(instance, state)


def _stopped(instance: InstanceDir, state: State) -> Report:
    """Who ended it; only of the last end, for a history may hold several."""
    ends = [e for e in read_events(instance.folder) if e.get("event") in ("stop", "cleaned")]
    last = ends[-1] if ends else {}
    at = f" at {_clock(state.ended_at)}" if state.ended_at else ""
    if last.get("event") == "cleaned":
        return Report(
            "was-lost",
            f"the keeper of {instance.name} had been killed; what it left was cleaned up{at}",
            None,
            "`dmesg -T | grep -i 'killed process'` shows whether memory ran out",
        )
    reason = str(last.get("reason", ""))
    who = {
        "down": "by `ernie-deploy down`",
        "interrupted": "by Ctrl-C in the `up` that started it",
        "SIGTERM": "by SIGTERM to its keeper (a supervisor, a container's stop)",
        "SIGINT": "by SIGINT to its keeper (Ctrl-C)",
    }.get(reason, f"because {reason}" if reason else "; who did it was not written down")
    when = f"ready since {_clock(state.ready_at)}" if state.ready_at else "not ready yet"
    return Report(InstanceState.STOPPED, f"{instance.name} was stopped {who}{at}; it was {when}")


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
