"""The table of docs/drills.md: `python -m tests.drill.table docs/drills.json docs/drills.md`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from launcher.codec import decode
from launcher.drill.payloads import DrillRun
from launcher.drill.scenarios import SCENARIOS
from launcher.report.drill_text import Summary, bars, summaries

BEGIN, END = "<!-- drill table: begin -->\n", "<!-- drill table: end -->"


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


def insert(page: str, table: str) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError("the page has no marks for the table")
    return f"{before}{BEGIN}{table}{mark}{after}"


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
    return (
        f"{one.note}, {run.rounds} round{'s' * (run.rounds > 1)}, {len(drills)} drills on"
        f" {run.cores} cores, {run.started[:10]}; {left} leftovers,"
        f" {sum(r.answered + r.empty for r in requests)} requests answered,"
        f" {sum(r.failed for r in requests)} failed, {sum(r.hung for r in requests)} hung"
    )


def main(argv: list[str]) -> int:
    """Write the table into the page."""
    source, page = map(Path, argv)
    page.write_text(insert(page.read_text(encoding="utf-8"), render(read(source))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
