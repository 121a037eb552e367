"""Lists as a terminal shows them: headings, groups, columns that fit. Pipes get the plain text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from launcher import engines as engine_list
from launcher.diagnose.pages import Explanation, PageIndex
from launcher.environments.payloads import EngineList
from launcher.instance.instance_status import InstanceStatus, Status
from launcher.lifecycle import InstanceState
from launcher.profile.catalogue import ProfileFacts
from launcher.report import incident_text, service_text
from launcher.report.engine_text import size_text
from launcher.report.instance_text import engine_of, since, state_of, url_of
from launcher.report.paint import STATES
from launcher.report.payloads import ProfileList
from launcher.report.table import Column, fitted, table
from launcher.report.terminal import Terminal, one_line, wrap
from launcher.result import Result
from launcher.smoke.tags import theme_of

if TYPE_CHECKING:
    from launcher.smoke.run.results import CheckList, SmokeRun

Screen = Callable[[Result[Any], Terminal], "str | None"]
"""Text of a result for a terminal; None: the plain text is shown there too."""

GROUPS = ("FastDeploy", "Other engines", "Hosted", "Tests (small enough for a CPU)")
"""Headings of `profiles list`."""
HERE = "In this folder"


def status(result: Result[Status], terminal: Terminal) -> str | None:
    """All instances; a single one is told in words."""
    rows = result.payload.instances
    if not rows or result.instance is not None or type(result.payload) is not Status:
        return None
    columns = (
        Column("NAME", None),
        Column("STATE", None, 0, lambda value: STATES.get(value.split(" ")[0], ())),
        Column("ENGINE", 8, 2),
        Column("FOR", None, 1),
        Column("URL", None, 3),
    )
    cells = [(row.name, _state(row), engine_of(row), since(row), url_of(row)) for row in rows]
    lines = table(terminal, columns, cells)
    lines += [f"{r.name}: {one_line(str(r.note))}" for r in rows if r.state == InstanceState.ABSENT]
    return "\n".join(lines)


def _state(row: InstanceStatus) -> str:
    percent = row.record.percent if row.record else None
    if row.state == InstanceState.LOADING and percent is not None:
        return f"loading {percent:.0f} %"
    return state_of(row)


def profiles(result: Result[ProfileList], terminal: Terminal) -> str | None:
    """Profiles by what they need: FastDeploy, another engine, a key, or nothing but a CPU."""
    rows = result.payload.profiles
    groups: dict[str, list[tuple[str, str, str, str]]] = {name: [] for name in (HERE, *GROUPS)}
    for row in rows:
        if row.facts is not None:
            facts = row.facts
            cell = (row.file, facts.engine, str(facts.model), facts.description or "")
            groups[_group(facts)].append(cell)
    columns = (
        Column("FILE", None), Column("ENGINE", 12, 2), Column("MODEL", 16, 1), Column("ABOUT", 24),
    )  # fmt: skip
    widths = fitted(terminal, columns, [row for some in groups.values() for row in some])
    lines: list[str] = []
    for name, some in groups.items():
        if some:
            lines += table(terminal, columns, some, headings=not lines, widths=widths)
            lines.insert(len(lines) - len(some), terminal.style(name, "bold", "blue"))
            lines.append("")
    wrong = [(row.file, row.problem) for row in rows if row.problem]
    if wrong:
        lines.append(terminal.style("Not profiles by themselves", "bold", "blue"))
        why = (Column("FILE", None), Column("WHY", 12))
        lines += table(terminal, why, wrong, headings=False)
    return "\n".join(lines).rstrip("\n") or None


def _group(facts: ProfileFacts) -> str:
    """The heading of a profile; of the shipped ones the tiny model is for tests."""
    if "tiny" in str(facts.model).rpartition("/")[2]:
        return GROUPS[3]
    if facts.engine == engine_list.DEFAULT:
        return GROUPS[0]
    is_listed = facts.engine in engine_list.names()
    return GROUPS[2] if is_listed and not engine_list.get(facts.engine).local else GROUPS[1]


def engines(result: Result[EngineList], terminal: Terminal) -> str | None:
    """What is installed, then what can be."""
    data = result.payload
    lines = [terminal.style("Installed", "bold", "blue")]
    if data.installed:
        columns = (
            Column("ENGINE", None), Column("VERSION", None), Column("PYTHON", 6, 2),
            Column("SIZE", 8, 1), Column("FOLDER", 20),
        )  # fmt: skip
        lines += table(
            terminal,
            columns,
            [
                (e.name, e.version, e.python_version or "?", size_text(e.size_bytes), e.folder)
                for e in data.installed
            ],
        )  # fmt: skip
    else:
        lines.append(f"no engine is installed in {one_line(data.folder)}")
    lines += [f"unfinished, not used: {one_line(folder)}" for folder in data.unfinished]
    there = {e.name for e in data.installed}
    missing = [a for a in data.available if a.name not in there]
    if missing:
        lines += ["", terminal.style("Available", "bold", "blue")]
        heads = (Column("ENGINE", None), Column("DEFAULT", None), Column("SUPPORTED", 10))
        rows = [(a.name, a.default, a.supported) for a in missing]
        lines += table(terminal, heads, rows)
        how = "`ernie-deploy engine install ENGINE` installs one."
        lines += ["", *wrap(how, terminal.width)]
    return "\n".join(lines)


def explain(result: Result[Explanation | PageIndex], terminal: Terminal) -> str | None:
    """The list of pages, by kind."""
    data = result.payload
    if isinstance(data, Explanation):
        return None
    columns = (Column("ID", None, 0, lambda value: ("cyan",)), Column("ABOUT", 12))
    sections = {
        kind.capitalize(): [(page.id, page.about) for page in pages]
        for kind, pages in data.kinds().items()
    }
    widths = fitted(terminal, columns, [row for rows in sections.values() for row in rows])
    lines: list[str] = []
    for heading, rows in sections.items():
        lines += [terminal.style(heading, "bold", "blue")]
        lines += [*table(terminal, columns, rows, headings=False, widths=widths), ""]
    lines.append("`ernie-deploy explain ID` prints a page.")
    return "\n".join(lines)


def smoke(result: Result[SmokeRun | CheckList], terminal: Terminal) -> str | None:
    """`smoke --list`: checks by theme, one line each; a run is told line by line."""
    from launcher.smoke.run.results import CheckList

    data = result.payload
    if not isinstance(data, CheckList):
        return None
    groups: dict[str, list[tuple[str, str, str]]] = {tag: [] for tag in data.tags}
    for c in data.checks:
        needs = ", ".join(c.requires) or "nothing"
        groups.setdefault(theme_of(c.tags), []).append((c.name, c.purpose, needs))
    columns = (
        Column("CHECK", None, 0, lambda value: ("cyan",)), Column("WHAT IT PROVES", 56),
        Column("NEEDS", 12, 1),
    )  # fmt: skip
    widths = fitted(terminal, columns, [row for rows in groups.values() for row in rows])
    lines: list[str] = []
    for tag, rows in groups.items():
        if rows:
            meaning = "and in no other" if tag == "full" else data.tags.get(tag)
            heading = terminal.clip(f"--tag {tag}" + (f": {meaning}" if meaning else ""))
            lines += table(terminal, columns, rows, headings=not lines, widths=widths)
            lines.insert(len(lines) - len(rows), terminal.style(heading, "bold", "blue"))
            lines.append("")
    quick = [c.name for c in data.checks if "quick" in c.tags]
    listed = [name for name, _, _ in groups.get("quick", ())]
    also = [name for name in quick if name not in listed]
    if also:
        lines += wrap(f"--tag quick, the default, also runs {', '.join(also)}.", terminal.width, "")
    lines += wrap("--tag full runs every check.", terminal.width, "")
    return "\n".join(lines)


def wrapped(text: str, terminal: Terminal) -> str:
    """Plain text whose long lines continue below where they began, not at the left edge."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.lstrip().startswith("do:"):
            lines.append(line)  # a command: a line break that is copied with it would run a half
            continue
        # Below the last column of the line, which two spaces set off.
        gaps = [match.end() for match in re.finditer(r" {2,}", line[: terminal.width // 2])]
        lines += wrap(line, terminal.width, " " * (gaps[-1] if gaps else 4))
    return "\n".join(lines)


WRAPPED = frozenset(
    {"smoke", "doctor", "validate", "up", "down", "restart", "status", "incidents show"}
)
"""Commands whose plain text is prose: it holds no command to copy."""
SCREENS: Mapping[str, Screen] = {
    "status": status,
    "top": service_text.screen,
    "profiles list": profiles,
    "engine list": engines,
    "explain": explain,
    "incidents list": incident_text.screen,
    "smoke": smoke,
}
"""Command to what shows its list on a terminal."""
