"""Writes the reports that were asked for, each whole or not at all."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from launcher.errors import ExitCode, PreconditionError, Problem, UsageError
from launcher.paths import write_file
from launcher.report.escape import visible
from launcher.result import Result

Payload = TypeVar("Payload")

RENDERERS = {
    ("smoke", "junit"): "launcher.report.junit",
    ("drill", "junit"): "launcher.report.drill_junit",
    ("smoke", "html"): "launcher.report.html",
    ("smoke", "markdown"): "launcher.report.markdown",
    ("report", "junit"): "launcher.report.card_junit",
    ("report", "html"): "launcher.report.card_html",
    ("bench", "html"): "launcher.report.bench_html",
    ("bench compare", "html"): "launcher.report.bench_compare_html",
    ("bench", "junit"): "launcher.report.bench_junit",
    ("bench", "csv"): "launcher.report.bench_csv",
    ("bench", "markdown"): "launcher.report.bench_markdown",
    ("bench compare", "junit"): "launcher.report.bench_junit",
    ("bench compare", "csv"): "launcher.report.bench_csv",
    ("bench compare", "markdown"): "launcher.report.bench_markdown",
    ("compare", "junit"): "launcher.report.junit",
    ("compare", "html"): "launcher.report.html_compare",
    ("compare", "markdown"): "launcher.report.markdown_compare",
}
"""(Command, kind of report) to the module whose `render` makes it.

A module with `render_noted` instead also says what its document lacks.
"""


def check_writable(**files: Path | None) -> None:
    """Try that each named file could be written: a run takes minutes and is lost without it.

    Raises:
        UsageError: two of them are one file.
        PreconditionError: some cannot, each with its reason.
    """
    requested = {kind: path for kind, path in files.items() if path is not None}
    by_path: dict[Path, str] = {}
    for kind, path in requested.items():
        previous = by_path.setdefault(path.absolute(), kind)
        if previous != kind and (not path.exists() or path.is_file()):
            raise UsageError.of(
                "duplicate-report-path",
                f"--{previous} and --{kind} name the same file: one would replace the other",
                str(path),
            )
    problems = [p for kind, path in requested.items() if (p := _write(kind, path, None))]
    if problems:
        raise PreconditionError(problems)


def write_reports(result: Result[Payload], **files: Path | None) -> Result[Payload]:
    """Render `result` into each named file (`junit=`, `html=`, `markdown=`, `csv=`).

    A file that cannot be written becomes an error of the result that is returned: the run was
    made, and its verdict is not lost. A run that passed ends with 3 then, for a pipeline would
    look for the file. What a document lacks is an error that leaves the exit code as it is.
    """
    requested = {kind: path for kind, path in files.items() if path is not None}
    problems = []
    for kind, path in requested.items():
        module = importlib.import_module(RENDERERS[result.command, kind])
        note = None
        if hasattr(module, "render_noted"):
            text, note = module.render_noted(result)
        else:
            text = module.render(result)
        problem = _write(kind, path, visible(text))
        if problem:
            problems.append(problem)
        elif note is not None:
            result = replace(result, errors=(*result.errors, note))
    if not problems:
        return result
    code = result.exit_code or ExitCode.PRECONDITION
    return replace(result, exit_code=code, errors=(*result.errors, *problems))


def _write(kind: str, path: Path, text: str | None) -> Problem | None:
    """Write `text`, or only try to where there is none; what stood in the way."""
    try:
        write_file(path, text)
    except OSError as error:
        return Problem(
            "report-not-written",
            f"the {kind} report cannot be written: {error.strerror}",
            f"--{kind} {path}",
        )
    return None
