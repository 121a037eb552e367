"""A benchmark as CSV: one line for each figure, with its interval."""

from __future__ import annotations

import csv
import io

from launcher.bench.result import BenchComparison, BenchRun
from launcher.report.bench_rows import figures
from launcher.result import Result

HEADINGS = ("side", "level", "metric", "statistic", "unit", "value", "low", "high", "count")


def render(result: Result[BenchRun | BenchComparison]) -> str:
    """The lines; `side` is A or B in a comparison and empty in a run."""
    data = result.payload
    runs = [("A", data.a), ("B", data.b)] if isinstance(data, BenchComparison) else [("", data)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADINGS)
    for side, run in runs:
        units = {metric.name: metric.unit for metric in run.metrics}
        for level, name, statistic, one, count in figures(run):
            ends = ["" if end is None else f"{end:.9g}" for end in (one.low, one.high)]
            writer.writerow(
                (
                    side,
                    level,
                    name,
                    statistic,
                    units.get(name, ""),
                    f"{one.value:.9g}",
                    *ends,
                    count,
                )
            )
    return text.getvalue()
