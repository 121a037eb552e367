"""Text for `incidents`: a list, and one incident on one screen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from launcher.keeper.incident import Incident
from launcher.observe.incidents import IncidentList, IncidentRow, ShownIncident
from launcher.report.table import Column, table
from launcher.report.terminal import Terminal, one_line
from launcher.result import Result

MOST_FILES = 8
"""Files that are listed by name: the rest are logs, in a folder."""
_DONE = {"given-up": "given up", "keeper-lost": "keeper killed"}


def listing(result: Result[IncidentList]) -> str:
    """One line an incident."""
    data = result.payload
    if not data.incidents and not data.unreadable:
        return "no incidents"
    lines = [f"{'ID':<21}  {'INSTANCE':<15}  {'CODE':<18}  {'DONE':<10}  AWAY"]
    lines += [
        f"{row.incident.id:<21}  {row.incident.instance:<15}  {row.incident.code:<18}"
        f"  {_done(row.incident):<10}  {_away(row)}".rstrip()
        for row in data.incidents
    ]
    return "\n".join([*lines, *_unreadable(data)])


def screen(result: Result[IncidentList], terminal: Terminal) -> str | None:
    """The same on a terminal: columns that fit."""
    data = result.payload
    if not data.incidents:
        return None
    columns = (
        Column("ID", None), Column("INSTANCE", 12), Column("CODE", 12), Column("DONE", 8, 1),
        Column("AWAY", None, 2),
    )  # fmt: skip
    cells = [
        (r.incident.id, r.incident.instance, r.incident.code, _done(r.incident), _away(r))
        for r in data.incidents
    ]
    lines = table(terminal, columns, cells)
    return "\n".join([*lines, *map(one_line, _unreadable(data))])


def show(result: Result[ShownIncident]) -> str:
    """What happened, what was done, and where the evidence lies."""
    return "\n".join(_screen_of(result.payload))


def _screen_of(data: ShownIncident) -> Iterator[str]:
    row, one = data.row, data.row.incident
    yield f"{one.id}: {one.kind} of {one.instance}: {one.message}"
    yield _fact("code", one.code)
    if one.where:
        yield _fact("where", one.where)
    yield _fact("at", f"{_stamp(one.time)}, in state {one.state}{_uptime(one)}")
    if one.verdict:
        reasons = f": {'; '.join(one.reasons)}" if one.reasons else ""
        yield _fact("verdict", f"{one.verdict}{reasons}")
    if one.engine_exit is not None:
        yield _fact("exit code", str(one.engine_exit))
    if one.cause is not None and one.cause.rule_id != one.code:
        yield _fact("cause", f"{one.cause.rule_id}: {one.cause.cause}")
    if one.remedy or (one.cause and one.cause.remedy):
        yield _fact("remedy", one.remedy or (one.cause.remedy if one.cause else ""))
    yield _fact("done", _done_in_words(one))
    yield _fact("service", _service(row))
    if one.engine:
        yield _fact("engine", " ".join(filter(None, (one.engine, one.release, one.model))))
    yield from (_fact("note", note) for note in one.notes)
    yield _fact("folder", row.folder)
    names = [(str(Path(file.path).relative_to(row.folder)), file.size) for file in data.files]
    top = [name for name in names if "/" not in name[0] and name[0] != "incident.json"]
    logs = [name for name in names if name[0].startswith("logs/")]
    for name, size in top[:MOST_FILES]:
        yield f"    {name:<24} {_size(size)}"
    if len(top) > MOST_FILES:
        yield f"    and {len(top) - MOST_FILES} more"
    if logs:
        total = _size(sum(size for _, size in logs))
        some = ", ".join(name.removeprefix("logs/") for name, _ in logs[:4])
        more = f" and {len(logs) - 4} more" if len(logs) > 4 else ""
        yield f"    {'logs/':<24} {total}: {some}{more}"


def _fact(name: str, value: str) -> str:
    return f"  {name:<10} {value}"


def _done(one: Incident) -> str:
    return _DONE.get(one.action, one.action)


def _done_in_words(one: Incident) -> str:
    if one.action == "restarted" and one.number is not None:
        return f"restarted after {one.delay or 0:g} s (restart number {one.number})"
    return {
        "restarted": "`up` cleaned up and started it again",
        "given-up": "given up: the restart policy starts it no more",
        "reported": "reported only: the engine went on by itself",
        "stopped": "stopped by a command",
        "keeper-lost": "nothing: its keeper was killed before that",
    }.get(one.action, "nothing yet")


def _service(row: IncidentRow) -> str:
    since = _stamp(row.incident.since)
    if row.away_seconds is None:
        return f"away since {since}; it did not come back in this run"
    return f"away for {row.away_seconds:g} s, since {since}"


def _uptime(one: Incident) -> str:
    if one.ready_at is None:
        return ""
    return f", ready for {max(0.0, one.since - one.ready_at):.0f} s"


def _away(row: IncidentRow) -> str:
    return "" if row.away_seconds is None else f"{row.away_seconds:.1f} s"


def _unreadable(data: IncidentList) -> list[str]:
    return [f"cannot be read: {folder}" for folder in data.unreadable]


def _stamp(seconds: float) -> str:
    """UTC, as in the ID."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _size(size: int) -> str:
    return f"{size} bytes" if size < 10240 else f"{size // 1024} KiB"
