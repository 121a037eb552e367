"""The figures of a run of `make bench`: as one JSON document, and as tables of the documentation.

    python -m tests.benchmarks.results LINES RESULTS [PAGE]

LINES has one figure a line, as `measure.record` wrote them; RESULTS becomes the document. In PAGE
the text between the marks is replaced by the tables.
"""

import itertools
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher import __version__

SCHEMA = "ernie-deploy/launcher-bench/1"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
Figure = Mapping[str, Any]


def document(figures: Sequence[Figure]) -> dict[str, object]:
    """All figures with the machine on which they were measured."""
    return {
        "schema": SCHEMA,
        "version": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "written_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "figures": list(figures),
    }


def tables(results: Mapping[str, Any]) -> str:
    """A table for each benchmark; every figure with the load average in which it was measured."""
    day = results["written_at"][:10]
    lines = [
        f"*{day}, ernie-deploy {results['version']}, Python {results['python']},"
        f" {results['cores']} cores.*",
    ]
    figures: list[Figure] = results["figures"]
    for benchmark, group in itertools.groupby(figures, lambda figure: figure["benchmark"]):
        lines += ["", f"**{benchmark}**", "", "| what | median | least to most | n | load |"]
        lines.append("| --- | --- | --- | --- | --- |")
        lines += map(_row, group)
    return "\n".join(lines)


def _row(figure: Figure) -> str:
    unit = figure["unit"]
    spread = f"{_number(figure['least'], unit)} to {_number(figure['most'], unit)}"
    median = _number(figure["median"], unit)
    if "share_of_core" in figure:
        share = f"{figure['share_of_core'] * 100:.0f} % of a core"
        median += f"; {figure['mb_per_s']:.1f} MB/s, {share}, {figure['lost']} lost"
    count = figure["count"]
    return (
        f"| {figure['what']} | {median} | {spread if count > 1 else ''} | {count} |"
        f" {figure['load']} |"
    )


def _number(value: float, unit: str) -> str:
    if unit == "s" and value < 10:
        return f"{value * 1000:.1f} ms"
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.2f} {unit}"


def write_page(page: Path, text: str) -> None:
    """Replace what stands between the marks of `page`.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main(arguments: Sequence[str]) -> None:
    """See the module's docstring."""
    source, target, *pages = map(Path, arguments)
    figures = [json.loads(line) for line in source.read_text().splitlines()]
    results = document(figures)
    target.write_text(json.dumps(results, indent=1) + "\n")
    for page in pages:
        write_page(page, tables(results))
    print(f"{len(figures)} figures in {target}")


if __name__ == "__main__":
    main(sys.argv[1:])
