"""Writes the reports that were asked for, each whole or not at all."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path

from launcher.errors import ExitCode, PreconditionError, Problem
from launcher.report.escape import visible
from launcher.result import Result

RENDERERS = {
    "junit": "launcher.report.junit",
    "html": "launcher.report.html",
    "markdown": "launcher.report.markdown",
}


def check_writable(**files: Path | None) -> None:
    """Try that each named file could be written: a run takes minutes and is lost without it.

    Raises:
        PreconditionError: some cannot, each with its reason.
    """
    given = {kind: path for kind, path in files.items() if path is not None}
    problems = [p for kind, path in given.items() if (p := _write(kind, path, None))]
    if problems:
        raise PreconditionError(problems)


def write_reports(result: Result, **files: Path | None) -> Result:
    """Render `result` into each named file (`junit=`, `html=`, `markdown=`).

    A file that cannot be written becomes an error of the result that is returned: the run was
    made, and its verdict is not lost. A run that passed ends with 3 then, for a pipeline would
    look for the file.
    """
    given = {kind: path for kind, path in files.items() if path is not None}
    problems = []
    for kind, path in given.items():
        text = visible(importlib.import_module(RENDERERS[kind]).render(result))
        problem = _write(kind, path, text)
        if problem:
            problems.append(problem)
    if not problems:
        return result
    code = result.exit_code or ExitCode.PRECONDITION
    return replace(result, exit_code=code, errors=(*result.errors, *problems))


def _write(kind: str, path: Path, text: str | None) -> Problem | None:
    """Write `text`, or only try to where there is none; what stood in the way."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            temporary.write_text(text or "", encoding="utf-8")
            if text is not None:
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        return Problem(
            "report-not-written",
            f"the {kind} report cannot be written: {error.strerror}",
            f"--{kind} {path}",
        )
    return None
