"""Colours for verdicts and states in a text that has been laid out already."""

from __future__ import annotations

import re

from launcher.report.terminal import Terminal

VERDICTS: dict[str, tuple[str, ...]] = {
    "PASS": ("green",),
    "OK": ("green",),
    "FAIL": ("bold", "red"),
    "DOUBT": ("yellow",),
    "INCONCLUSIVE": ("yellow",),
    "KNOWN": ("magenta",),
    "WARN": ("yellow",),
    "UNKNOWN": ("yellow",),
    "----": ("dim",),
}
"""Words at the start of a line that say how a check ended."""
STATES: dict[str, tuple[str, ...]] = {
    "ready": ("green",),
    "starting": ("cyan",),
    "loading": ("cyan",),
    "stopping": ("cyan",),
    "stopped": ("dim",),
    "absent": ("dim",),
    "down": ("dim",),
    "unhealthy": ("bold", "red"),
    "failed": ("bold", "red"),
    "died": ("bold", "red"),
    "LOST": ("bold", "red"),
    "damaged": ("bold", "red"),
    "unknown": ("yellow",),
}
"""States of an instance."""
COMMANDS: dict[str, str] = {
    "smoke": "verdicts",
    "compare": "verdicts",
    "doctor": "verdicts",
    "validate": "profile",
    "up": "state",
    "down": "state",
    "restart": "state",
    "status": "state",
}
"""Command to what is coloured in its text."""
_VERDICT = re.compile(r"^( *)(PASS|FAIL|DOUBT|KNOWN|WARN|UNKNOWN|INCONCLUSIVE|----)(?=[ :])", re.M)
_STATE = re.compile(rf"(?<= is )(already )?({'|'.join(STATES)})\b|(?<= has )({'|'.join(STATES)})\b")
_ROW = re.compile(rf"^(\S+ +)({'|'.join(STATES)})(?= |$)", re.M)


def paint(command: str, text: str, terminal: Terminal) -> str:
    """`text` of a command with its verdicts and states in colour, where the terminal has any."""
    what = COMMANDS.get(command)
    if not terminal.colour or what is None:
        return text
    if what == "verdicts":
        return _VERDICT.sub(lambda m: m[1] + terminal.style(m[2], *VERDICTS[m[2]]), text)
    first, newline, rest = text.partition("\n")
    if what == "profile":
        first = re.sub(r"(?<=: )OK\b", terminal.style("OK", "green"), first, count=1)
        return first + newline + rest
    if first.startswith("NAME "):
        rows = _ROW.sub(lambda m: m[1] + terminal.style(m[2], *STATES[m[2]]), rest)
        return first + newline + rows
    painted = _STATE.sub(
        lambda m: (m[1] or "") + terminal.style(m[2] or m[3], *STATES[m[2] or m[3]]),
        first,
        count=1,
    )
    return painted + newline + rest
