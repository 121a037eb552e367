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

from launcher.diagnose import log_lengths, of_instance
from launcher.errors import ExitCode, PreconditionError
from launcher.instance.store import InstanceDir, view
from launcher.keeper.events import read_events
from launcher.keeper.identity import this_host
from launcher.keeper.state import State
from launcher.result import Result


@dataclass(frozen=True)
class Told:
    """What an instance's record says of its end; `name` is a state, or how it came to stand."""

    name: str
    message: str
    where: str | None = None
    remedy: str | None = None


def first_cause(found: InstanceDir) -> Result:
    """The instance's state and why it is so, and the first cause that its logs show.

    Raises:
        PreconditionError: nothing is known: its plan cannot be read, or it runs and has no logs.
    """
    plan = found.plan()
    name, state, note = view(found)
    told = _told(found, name, state, note)
    ended_by_us = told is not None and told.name == "stopped"
    seen = of_instance(
        Path(plan.log_folder),
        found.engine_log,
        plan.failure_rules,
        engine=plan.engine,
        # Of a server that we stopped the code tells only which signal we sent.
        exit_code=state.evident_exit if state and not ended_by_us else None,
        state="ready" if state and state.ready_at else "loading",
        noise=plan.noise,
        # Of a damaged state the logs tell what happened, of every start they hold.
        since=state.started_at if state else None,
        until=_until(found, state),
        served=state.ready_at if state else None,
    )
    if not seen.files and told is None:
        raise PreconditionError.of(
            "no-logs", f"{found.name} has no logs", str(found.logs),
            f"`ernie-deploy status {found.name}`",
        )  # fmt: skip
    data: dict[str, Any] = {**seen.to_json(), "source": str(found.logs), "state": None}
    if told is not None:
        data["state"] = asdict(told)
        if state is not None and state.error:
            # What the keeper decided, with all that it saw: an unknown line in a log knows less.
            data["retry"] = bool(state.error.get("retry", data["retry"]))
        if state is not None and state.error and state.error.get("certain"):
            data = _as_decided(data, state.error, told)
        elif not seen.found:
            data["cause"], data["remedy"] = told.message, told.remedy or ""
    if ended_by_us and not data["rule"] and data["first_errors"]:
        # What no rule knows did not end it: we did.
        first = data["first_errors"][0]
        note = f"its logs hold error lines, the first at {first['file']}:{first['line']}"
        data |= {"first_errors": [], "notes": [*data["notes"], f"{note}: {first['text']}"]}
        data |= {"cause": told.message, "remedy": told.remedy or ""} if told else {}
    bad = bool(data["rule"] or data["first_errors"]) or (told is not None and not ended_by_us)
    return Result("diagnose", data, found.name, ExitCode.NEGATIVE if bad else ExitCode.DONE)


def _until(found: InstanceDir, state: State | None) -> dict[str, int] | None:
    """How long the logs were before the first signal; of a killed keeper its guard noted that."""
    if state is None or state.log_lengths is not None:
        return state.log_lengths if state else None
    return log_lengths.of_start(found.logs, state.token)


def _as_decided(data: dict[str, Any], error: Mapping[str, Any], told: Told) -> dict[str, Any]:
    """The keeper's certain verdict is the rule or, where no rule has its name, the cause.

    What else the logs hold stands behind it: the keeper saw it too, and decided otherwise.
    """
    keys = ("rule", "kind", "cause", "remedy", "retry", "evidence")
    first = {key: data[key] for key in keys}
    findings = [first, *data["others"]] if data["rule"] else data["others"]
    chosen = next((one for one in findings if one["rule"] == error.get("code")), None)
    if chosen is None:
        chosen = {"rule": None, "kind": "", "evidence": None}
    others = [one for one in findings if one["rule"] != chosen["rule"]]
    decided = {"cause": told.message, "remedy": told.remedy or "", "retry": data["retry"]}
    return {**data, **decided, **chosen, "retry": data["retry"], "others": others}


def _told(found: InstanceDir, name: str, state: State | None, note: str | None) -> Told | None:
    """What the record says of an instance that does not run, None where it runs."""
    here = found.name
    if name == "lost" and state is not None and state.boot != this_host().boot:
        return Told(
            "rebooted", f"{here} is LOST: {note}", None,
            f"`ernie-deploy up` starts it, `ernie-deploy down {here}` acknowledges it",
        )  # fmt: skip
    if name == "lost":
        keeper = f" (pid {state.keeper['pid']})" if state and state.keeper else ""
        return Told(
            "lost",
            f"{here} is LOST: its keeper{keeper} was killed, by somebody's kill -9 or for want of"
            " memory; its guard ends the engine within 30 s",
            None,
            f"`ernie-deploy up` cleans up and starts, `ernie-deploy down {here}` cleans up; the"
            " kernel's word on memory: `dmesg -T | grep -i 'killed process'`",
        )
    if name in ("damaged", "foreign", "absent"):
        remedy = {"foreign": f"ask where it runs: `ernie-deploy diagnose {here}` there"}
        return Told(
            name, f"{here} is {name}: {note}", None,
            remedy.get(name, f"`ernie-deploy down {here}` cleans up"),
        )  # fmt: skip
    if state is None or name in ("starting", "loading", "ready", "stopping"):
        return None
    failed = state.state if state.state in ("failed", "died") else state.was
    if failed:
        error = state.error or {}
        return Told(
            failed,
            f"{here} has {failed}: {error.get('message') or 'why was not written down'}",
            error.get("where"),
            error.get("remedy"),
        )
    return _stopped(found, state)


def _stopped(found: InstanceDir, state: State) -> Told:
    """Who ended it; only of the last end, for a history may hold several."""
    ends = [e for e in read_events(found.folder) if e.get("event") in ("stop", "cleaned")]
    last = ends[-1] if ends else {}
    at = f" at {_clock(state.ended_at)}" if state.ended_at else ""
    if last.get("event") == "cleaned":
        return Told(
            "was-lost",
            f"the keeper of {found.name} had been killed; what it left was cleaned up{at}",
            None,
            "`dmesg -T | grep -i 'killed process'` shows whether it was for want of memory",
        )
    reason = str(last.get("reason", ""))
    who = {
        "down": "by `ernie-deploy down`",
        "interrupted": "by Ctrl-C in the `up` that started it",
        "SIGTERM": "by SIGTERM to its keeper (a supervisor, a container's stop)",
        "SIGINT": "by SIGINT to its keeper (Ctrl-C)",
    }.get(reason, f"because {reason}" if reason else "; who did it was not written down")
    when = f"ready since {_clock(state.ready_at)}" if state.ready_at else "not ready yet"
    return Told("stopped", f"{found.name} was stopped {who}{at}; it was {when}")


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
