"""What the keeper answers on its socket; the protocol is told in `launcher.keeper.control`."""

from __future__ import annotations

import os
from collections.abc import Callable

from launcher import __version__
from launcher.errors import ExitCode
from launcher.json_values import JsonObject
from launcher.keeper.admin.probes import PROBES, Answer

OPERATIONS = ("hello", "status", "probe", "stop", "follow")

LONGEST_REASON = 200
"""Characters; it becomes part of the history."""
LONGEST_DRAIN = 1e6
"""Seconds; more is a mistake, and infinity no number a timer can take."""


def answer(
    request: JsonObject,
    snapshot: Callable[[], JsonObject],
    stop: Callable[[str, ExitCode, float | None], float],
    probe: Callable[[str], Answer],
) -> JsonObject:
    """The answer to one request.

    `stop` is called with reason, exit code and drain in seconds, and returns the seconds in which
    the stop is over. `probe` is called with one of `PROBES`.
    """
    op = request.get("op")
    if op == "hello":
        return {"ok": True, "version": __version__, "pid": os.getpid()}
    if op in ("status", "follow"):
        return {"ok": True, "state": dict(snapshot())}
    kind = request.get("kind")
    if op == "probe" and isinstance(kind, str) and kind in PROBES:
        answer = probe(kind)
        return {"ok": True, "passed": answer.ok, "reason": answer.reason}
    if op == "stop":
        code = ExitCode.INTERRUPTED if request.get("interrupt") else ExitCode.DONE
        reason = str(request.get("reason", "down"))[:LONGEST_REASON]
        reason = reason.encode(errors="replace").decode()
        return {"ok": True, "deadline": stop(reason, code, _drain(request.get("drain")))}
    return {"ok": False, "error": f"unknown op {op!r}", "ops": list(OPERATIONS)}


def _drain(seconds: object) -> float | None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds != seconds:
        return None
    # A whole number of JSON may be too large for a float.
    return float(min(max(seconds, 0), LONGEST_DRAIN))
