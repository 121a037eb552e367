"""One readable line an event: when, of what kind, and what happened."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable

from launcher.json_values import (
    JsonObject,
    JsonValue,
    at,
    integer_at,
    list_at,
    number_at,
    object_at,
    text_at,
    texts_at,
)
from launcher.numbers import short
from launcher.report import terminal
from launcher.report.paint import STATES
from launcher.report.terminal import one_line

NAME_WIDTH = 28
"""Columns of the name of an instance."""
KIND_WIDTH = 12
"""Columns of the kind of an event."""
LONGEST_VALUE = 300
"""Characters of one value of a kind of event that this release does not know."""
COLOURS: dict[str, tuple[str, ...]] = {
    "failure": ("bold", "red"),
    "warning": ("yellow",),
    "restart": ("yellow",),
    "incident": ("bold", "yellow"),
    "stalled": ("bold", "red"),
    "dead": ("bold", "red"),
    "paused": ("yellow",),
    "busy": ("green",),
    "idle": ("green",),
}
"""Colour of a kind of event, or of the verdict it tells."""
NO_TIME = "-" * 24


def event_line(*, labelled: bool = False) -> Callable[[JsonObject], str]:
    """A function that turns an event into its line, as stdout can show it now.

    `labelled`: with the name of the instance that it is about.
    """
    stream = terminal.of(sys.stdout)

    def line(event: JsonObject) -> str:
        kind = one_line(text_at(event, "event") or "?")
        label = stream.style(f"{kind:<{KIND_WIDTH}}", *style(event))
        when = stream.style(moment(number_at(event, "time")), "dim")
        name = f"{one_line(text_at(event, 'instance')):<{NAME_WIDTH}}  " if labelled else ""
        return f"{when}  {name}{label} {details(event)}".rstrip()

    return line


def style(event: JsonObject) -> tuple[str, ...]:
    """The colour of the kind of an event."""
    kind = text_at(event, "event")
    if kind == "state":
        return STATES.get(text_at(event, "state"), ())
    return COLOURS.get(text_at(event, "verdict") if kind == "liveness" else kind, ())


def moment(seconds: float | None) -> str:
    """A time in UTC with milliseconds: `2026-11-28 03:12:45.120Z`."""
    if seconds is None:
        return NO_TIME
    try:
        time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        return NO_TIME
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03}Z"


def details(event: JsonObject) -> str:
    """What happened, on one line; of a kind that is not known every field."""
    teller = _TELLERS.get(text_at(event, "event"))
    text = teller(event) if teller is not None else ""
    return one_line(text or _fields(event))


def _state(event: JsonObject) -> str:
    parts = [text_at(event, "state")]
    seconds = number_at(event, "seconds")
    if seconds is not None:
        parts.append(f"after {seconds:g} s")
    parts.append(text_at(event, "base_url"))
    pid = integer_at(event, "engine", "pid")
    if pid is not None:
        parts.append(f"(engine process {pid})")
    if text_at(event, "previous_state"):
        parts.append(f"(it had {text_at(event, 'previous_state')}; a `down` acknowledged it)")
    line = " ".join(filter(None, parts))
    error = object_at(event, "error")
    reason = _problem(error) if error else text_at(event, "reason")
    line = f"{line}: {reason}" if reason else line
    return line + _left(object_at(event, "receipt"), integer_at(event, "exit_code"))


def _left(receipt: JsonObject, exit_code: int | None) -> str:
    parts = [f"exit code {exit_code}"] if exit_code else []
    if receipt:
        left = texts_at(receipt, "left")
        parts.append(f"left behind: {', '.join(left)}" if left else "nothing is left")
    return f" ({'; '.join(parts)})" if parts else ""


def _problem(value: JsonObject) -> str:
    code, message = text_at(value, "code"), text_at(value, "message")
    return f"{code}: {message}" if code and message else code or message


def _phase(event: JsonObject) -> str:
    percent = number_at(event, "percent")
    title = text_at(event, "title") or text_at(event, "phase")
    return title if percent is None else f"{title} {percent:.0f} %"


def _probe(event: JsonObject) -> str:
    name, verdict, message = (text_at(event, key) for key in ("name", "verdict", "message"))
    return f"{name} {verdict}: {message}" if message else f"{name} {verdict}".strip()


def _liveness(event: JsonObject) -> str:
    verdict, previous = text_at(event, "verdict"), text_at(event, "previous")
    reasons = "; ".join(texts_at(event, "reasons"))
    line = f"{previous} -> {verdict}" if previous else verdict
    return f"{line}: {reasons}" if line and reasons else line


def _stop(event: JsonObject) -> str:
    drain = number_at(event, "drain")
    more = f" ({drain:g} s more for running requests)" if drain is not None else ""
    return text_at(event, "reason") + more


def _restart(event: JsonObject) -> str:
    number, delay = at(event, "number"), number_at(event, "delay")
    limit = at(event, "limit")
    line = f"number {number}" if number is not None else ""
    line += f" of {limit}" if limit is not None else ""
    line += f" in {short(delay, 3)} s" if delay is not None else ""
    cause, message = text_at(event, "cause"), text_at(event, "message")
    return ": ".join(filter(None, (line, cause, message)))


def _cleaned(event: JsonObject) -> str:
    killed = at(event, "killed")
    count = len(list_at(killed)) if not isinstance(killed, int) else killed
    return "no process was left" if not count else f"killed {count} processes that were left"


def _signal(event: JsonObject) -> str:
    target = "the engine's group" if text_at(event, "target") == "group" else "the engine"
    pid = integer_at(event, "pid")
    return f"{text_at(event, 'signal')} to {target}" + (f" ({pid})" if pid is not None else "")


def _kill(event: JsonObject) -> str:
    pids = ", ".join(str(pid) for pid in list_at(event, "pids"))
    return f"SIGKILL to what still runs: {pids}" if pids else ""


def _incident(event: JsonObject) -> str:
    parts = (text_at(event, "kind"), text_at(event, "id"), text_at(event, "folder"))
    return "  ".join(filter(None, parts))


def _notification(event: JsonObject) -> str:
    ok = at(event, "ok")
    ended = {True: "delivered", False: "FAILED"}.get(ok, "") if isinstance(ok, bool) else ""
    parts = (text_at(event, "target"), text_at(event, "state"), ended)
    line = " ".join(filter(None, parts))
    message = text_at(event, "message")
    return f"{line}: {message}" if message else line


def _fields(event: JsonObject) -> str:
    rest = {key: value for key, value in event.items() if key not in ("time", "event")}
    return " ".join(f"{key}={_value(value)}" for key, value in rest.items())


def _value(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


_TELLERS: dict[str, Callable[[JsonObject], str]] = {
    "state": _state,
    "phase": _phase,
    "probe": _probe,
    "failure": _problem,
    "liveness": _liveness,
    "restart": _restart,
    "rollout": lambda event: text_at(event, "message"),
    "stop": _stop,
    "incident": _incident,
    "notification": _notification,
    "warning": lambda event: text_at(event, "message"),
    "cleaned": _cleaned,
    "signal": _signal,
    "kill": _kill,
}
"""Kind of event to what tells it."""
