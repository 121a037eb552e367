"""Text of `drill`: a table of what was measured, against the bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.drill.bar import Bar
from launcher.drill.payloads import DrillRun, ScenarioList, ScenarioResult
from launcher.result import Result

LABELS = {"pass": "PASS", "miss": "MISS", "not applicable": "N/A"}


def drill(result: Result[DrillRun | ScenarioList]) -> str:
    """The table, and each missed bar; with `--list` the scenarios."""
    data = result.payload
    if isinstance(data, ScenarioList):
        return listing(data)
    rows = [cells(row) for row in summaries(data.scenarios)]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    lines = [
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in (HEADINGS, *rows)
    ]
    lines += _remarks(data.scenarios)
    passed = sum(one.verdict == "pass" for one in data.scenarios)
    missed = sum(one.verdict == "miss" for one in data.scenarios)
    rest = len(data.scenarios) - passed - missed
    release = f" {data.target.release}" if data.target.release else ""
    lines.append(
        f"{'MISS' if missed else 'PASS'}: {passed} drills met their bars, {missed} missed one,"
        f" {rest} not applicable; {data.target.engine}{release}, {data.cores} cores, load"
        f" {data.load:g},"
        f" {data.seconds:.0f} s"
    )
    return "\n".join(lines)


def listing(data: ScenarioList) -> str:
    """Each scenario with what it stands for and its bars."""
    lines = []
    for row in data.available:
        lines.append(f"{row.name}")
        lines.append(f"  does       {row.action}")
        lines.append(f"  stands for {row.simulates}")
        lines.append(f"  bars       {bars(row.bar)}")
    return "\n".join(lines)


def bars(bar: Bar) -> str:
    """The bars that are judged, on one line."""
    parts = [
        f"{name} {value:g} s"
        for name, value in (("detection", bar.detection), ("restart", bar.restart))
        if value is not None
    ]
    counts = (
        ("failed requests", bar.failed), ("hung requests", bar.hung),
        ("false verdicts", bar.false_verdicts), ("leftovers", bar.leftovers),
    )  # fmt: skip
    parts += [f"{value} {name}" for name, value in counts if value is not None]
    return ", ".join(parts)


def step(name: str, result: ScenarioResult | None) -> str:
    """A line for stderr while it runs: the scenario's name, then its verdict."""
    if result is None:
        return f"  {name:<16} "
    detail = result.message or "; ".join(miss.message for miss in result.misses)
    return f"{LABELS[result.verdict]:<5}{result.seconds:6.1f} s{'  ' if detail else ''}{detail}\n"


@dataclass(frozen=True)
class Summary:
    """All rounds of one scenario; the times of each that there are."""

    results: tuple[ScenarioResult, ...]

    @property
    def first(self) -> ScenarioResult:
        """Any of them: name and bar are the same in all."""
        return self.results[0]

    @property
    def verdict(self) -> str:
        """The worst."""
        verdicts = {one.verdict for one in self.results}
        worst = next(word for word in ("miss", "pass", "not applicable") if word in verdicts)
        return LABELS[worst]

    def worst(self, name: str) -> float | None:
        """The largest measured value of `detection` or `restart`; None where there is none."""
        values = [getattr(one.measured, name) for one in self.results]
        return max((value for value in values if value is not None), default=None)

    def total(self, name: str) -> int:
        """The sum of a count of requests."""
        return sum(int(getattr(one.measured.requests, name)) for one in self.results)


def summaries(results: Sequence[ScenarioResult]) -> list[Summary]:
    """The rounds of each scenario together, in the order of the first round."""
    by_name: dict[str, list[ScenarioResult]] = {}
    for one in results:
        by_name.setdefault(one.scenario, []).append(one)
    return [Summary(tuple(group)) for group in by_name.values()]


HEADINGS = (
    "SCENARIO", "VERDICT", "DETECTION", "BAR", "RESTART", "BAR", "ANSWERED", "FAILED", "HUNG",
    "LEFT",
)  # fmt: skip


def cells(row: Summary) -> tuple[str, ...]:
    """One line of the table; with several rounds the worst time of all."""
    first = row.first
    verdict = row.verdict + ("*" if any(one.simulated for one in row.results) else "")
    if row.verdict == LABELS["not applicable"]:
        return (first.scenario, verdict, *("-" for _ in HEADINGS[2:]))
    left = sum(len(one.measured.leftovers) for one in row.results)
    return (
        first.scenario, verdict,
        seconds(row.worst("detection")), seconds(first.bar.detection, "-"),
        seconds(row.worst("restart")), seconds(first.bar.restart, "-"),
        _answered(row), str(row.total("failed")),
        str(row.total("hung")), str(left),
    )  # fmt: skip


def _answered(row: Summary) -> str:
    empty = row.total("empty")
    return f"{row.total('answered')}" + (f" (+{empty} empty)" if empty else "")


def seconds(value: float | None, none: str = "-") -> str:
    """A time for a table."""
    if value is None:
        return none
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def _remarks(results: Sequence[ScenarioResult]) -> list[str]:
    lines = []
    for one in results:
        lines += [f"  {one.scenario} (round {one.round}): {miss.message}" for miss in one.misses]
    notes = {(one.scenario, one.note) for one in results if one.note}
    for row in summaries(results):
        first = row.first
        lines += [
            f"  {name}{'*' if first.simulated else ''}: {note}"
            for name, note in sorted(notes)
            if name == first.scenario
        ]
        if first.message:
            lines.append(f"  {first.scenario}: not applicable: {first.message}")
    return lines
