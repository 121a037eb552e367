"""Writes the reports that were asked for, each whole or not at all."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from launcher.errors import PreconditionError
from launcher.result import Result

RENDERERS = {
    "junit": "launcher.report.junit",
    "html": "launcher.report.html",
    "markdown": "launcher.report.markdown",
}


def write_reports(result: Result, **files: Path | None) -> None:
    """Render `result` into each named file (`junit=`, `html=`, `markdown=`).

    Raises:
        PreconditionError: a file cannot be written.
    """
    for kind, path in files.items():
        if path is None:
            continue
        text = importlib.import_module(RENDERERS[kind]).render(result)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise PreconditionError.of(
                "report-not-written",
                f"the {kind} report cannot be written: {error.strerror}",
                f"--{kind} {path}",
            ) from error
