"""`--junit`, `--html` and `--markdown`: the reports of `smoke` and `compare`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from launcher.result import Result

Payload = TypeVar("Payload")
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class ReportFiles:
    """Where the reports go; None: that kind was not asked for."""

    junit: Path | None
    html: Path | None
    markdown: Path | None

    def check(self) -> None:
        """Try each file before a run that takes minutes.

        Raises:
            UsageError: two of them are one file.
            PreconditionError: some cannot be written.
        """
        from launcher.report.files import check_writable

        check_writable(junit=self.junit, html=self.html, markdown=self.markdown)

    def write(self, result: Result[Payload]) -> Result[Payload]:
        """Write the reports; the result, with an error for each that could not be written."""
        from launcher.report.files import write_reports

        return write_reports(result, junit=self.junit, html=self.html, markdown=self.markdown)


def report_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the three options; `function` gets `reports`, a `ReportFiles`."""

    @functools.wraps(function)
    def run(
        *args: object,
        junit: Path | None,
        html: Path | None,
        markdown: Path | None,
        **options: object,
    ) -> int:
        return function(*args, reports=ReportFiles(junit, html, markdown), **options)

    for name, kind in (("markdown", "a Markdown"), ("html", "an HTML"), ("junit", "a JUnit XML")):
        run = click.option(f"--{name}", type=FILE, help=f"Write {kind} report to this file.")(run)
    return run
