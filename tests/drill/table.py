"""Tables from a recorded run: `python -m tests.drill.table RUN.json docs/drills.md README.md`.

docs/drills.md gets a line for each scenario, README.md what is promised and the worst that was
measured.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from launcher.codec import decode
from launcher.drill.payloads import DrillRun
from launcher.drill.scenarios import SCENARIOS, roles
from launcher.report.drill_text import Summary, bars, summaries

TABLE, PROMISES = "drill table", "drill promises"
"""Names of the marks between which the two tables stand."""
DEATHS = ("kill-main", "kill-worker", "memory-killer")
AT_LOAD = " at a load of "
STALLS = ("stop-front-end", "stop-worker", "health-404", "chat-hangs")


@dataclass(frozen=True)
class Recorded:
    """Runs of several targets; `title` names the target, `note` says how it was run."""

    title: str
    note: str
    run: DrillRun


def read(path: Path) -> list[Recorded]:
    """The runs of a recorded file, in its order.

    Raises:
        DecodeError: a run is not one of this release.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    return [decode(Recorded, one, f"runs[{i}]") for i, one in enumerate(document["runs"])]


def render(runs: list[Recorded]) -> str:
    """The table, and how each column was measured."""
    columns = [{s.first.scenario: s for s in summaries(one.run.scenarios)} for one in runs]
    head = ["scenario", "what is done", "bars", *(one.title for one in runs)]
    lines = [_row(head), _row(["---"] * len(head))]
    for scenario in SCENARIOS:
        cells = [_cell(column.get(scenario.name)) for column in columns]
        lines.append(_row([f"`{scenario.name}`", scenario.action, bars(scenario.bar), *cells]))
    lines.append("")
    lines += [f"- {one.title}: {_facts(one)}" for one in runs]
    lines.append("- `-`: not applicable. `*`: simulated. **bold**: a bar was missed.")
    return "\n".join(lines) + "\n"


def promises(runs: list[Recorded]) -> str:
    """What an operator may count on, with the worst of all runs."""
    everything = [
        one for run in runs for one in run.run.scenarios if one.verdict in ("pass", "miss")
    ]
    deaths = Summary(tuple(one for one in everything if one.scenario in DEATHS))
    stalls = Summary(tuple(one for one in everything if one.scenario in STALLS))
    left = sum(len(one.measured.leftovers) for one in everything)
    false = sum(
        len(one.measured.false_verdicts) for one in everything if one.bar.false_verdicts == 0
    )
    hung = sum(one.measured.requests.hung for one in everything)
    detected, stalled = (_seconds(one.worst("detection")) for one in (deaths, stalls))
    rows = [
        ["promise", "bar", "worst measured"],
        ["---"] * 3,
        ["a dead process is seen", f"{roles.DEATH:g} s", f"{detected} s"],
        ["service is back after it, beyond the engine's own start", f"{roles.RESTART:g} s",
         f"{_seconds(deaths.worst('restart'))} s"],
        ["a stall is seen", f"{roles.STALL:g} s", f"{stalled} s"],
        ["a working server is called failed or stalled", "never", f"{false} times"],
        ["requests without an end", "0", str(hung)],
        ["leftovers of a run that ended", "0", str(left)],
    ]  # fmt: skip
    titles = ", ".join(one.title for one in runs)
    lines = [_row(row) for row in rows]
    how = "; ".join(("[how](docs/drills.md)", *_beside(one.note for one in runs)))
    lines += ["", f"*{len(everything)} drills of {titles}; {how}.*"]
    return "\n".join(lines) + "\n"


def _beside(notes: Iterable[str]) -> list[str]:
    """What the notes say beside their first part, each once, with one range for all loads."""
    texts: dict[str, set[float]] = {}
    for part in (part for note in notes for part in note.split("; ")[1:]):
        text, _, load = part.partition(AT_LOAD)
        texts.setdefault(text, set()).update({float(load)} if load else ())
    return [
        text + (f"{AT_LOAD}{min(loads):g} to {max(loads):g}" if loads else "")
        for text, loads in texts.items()
    ]


def insert(page: str, name: str, table: str) -> str:
    """The page with the table between the marks of that name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = page.partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"the page has no marks for the {name}")
    return f"{before}{begin}{table}{mark}{after}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(summary: Summary | None) -> str:
    if summary is None or summary.verdict == "N/A":
        return "-"
    times = [_seconds(summary.worst(name)) for name in ("detection", "restart")]
    text = " / ".join(times) if any(time != "-" for time in times) else "met"
    text += "*" if any(one.simulated for one in summary.results) else ""
    if summary.verdict != "MISS":
        return text
    missed = sorted({miss.name for one in summary.results for miss in one.misses})
    return f"**{text}** ({', '.join(missed).replace('_', ' ')})"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _facts(one: Recorded) -> str:
    run, results = one.run, one.run.scenarios
    drills = [r for r in results if r.verdict != "not applicable"]
    left = sum(len(r.measured.leftovers) for r in drills)
    requests = [r.measured.requests for r in drills]
    load = f", load average {run.load:g}" if run.load else ""
    return (
        f"{one.note}, {run.rounds} round{'s' * (run.rounds > 1)}, {len(drills)} drills on"
        f" {run.cores} cores, {run.started[:10]}{load}; {left} leftovers,"
        f" {sum(r.answered + r.empty for r in requests)} requests answered,"
        f" {sum(r.failed for r in requests)} failed, {sum(r.hung for r in requests)} hung"
    )


def main(argv: list[str]) -> int:
    """Write each table into its page."""
    source, page, readme = map(Path, argv)
    runs = read(source)
    page.write_text(insert(page.read_text("utf-8"), TABLE, render(runs)), "utf-8")
    readme.write_text(insert(readme.read_text("utf-8"), PROMISES, promises(runs)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
