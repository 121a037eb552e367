"""What is said where a Ctrl-C came before a verb could answer it."""

from __future__ import annotations

from launcher.errors import ExitCode, Problem
from launcher.report.emit import emit
from launcher.result import Result

INTERRUPTED = Problem("interrupted", "interrupted")


def show_interrupted(argv: list[str]) -> ExitCode:
    """Say so, as JSON where JSON was asked for; the verb is known by its place alone."""
    verb = next((word for word in argv if not word.startswith("-")), "")
    result: Result[object] = Result(verb, exit_code=ExitCode.INTERRUPTED, errors=(INTERRUPTED,))
    emit(result, as_json="--json" in argv)
    return ExitCode.INTERRUPTED
