"""The error boundary: what a function returns or raises becomes an answer and an exit code.

Every command passes through `run`, once as a process (`launcher.entry`) and once as a verb that
knows its name and whether JSON was asked for. Nothing is imported here that a command which
succeeds does not need, and not click: `quick` does without it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.result import Result


def run(
    function: Callable[[], Result[object] | int],
    argv: Sequence[str],
    *,
    command: str = "",
    as_json: bool | None = None,
    is_process: bool = False,
) -> int:
    """Show what `function` returns, or the error that it raises; return the exit code.

    `argv` is the command line: it tells what `command` and `as_json` do not. With `is_process`
    the process ends with this answer, and no Ctrl-C cuts it off or brings a second one.
    """
    as_json = "--json" in argv if as_json is None else as_json
    code = 0
    try:
        try:
            outcome = function()
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            if is_process:
                _ignore_interrupts()
            outcome = _from_error(error, argv, command, as_json)
        else:
            if is_process:
                _ignore_interrupts()
        if isinstance(outcome, int):
            code = int(outcome)
        else:
            from launcher.report import emit

            code = int(outcome.exit_code)
            emit(outcome, as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        _stop_writing()
    return code


def _ignore_interrupts() -> None:
    """Let the process end as it was about to: its answer is known."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def prepare_streams() -> None:
    """Let no character end a verb: an ASCII or GBK terminal cannot show some of them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _from_error(
    error: BaseException, argv: Sequence[str], command: str, as_json: bool
) -> Result[object] | int:
    """The answer to an exception: expected, click's own, an interrupt, or a defect of ours."""
    click = sys.modules.get("click")  # what was never imported has raised nothing
    if click is not None:
        if isinstance(error, click.exceptions.Exit):
            return int(error.exit_code)
        if isinstance(error, click.UsageError):
            from launcher.cli.usage import usage_error

            return usage_error(error, argv)
        if isinstance(error, click.Abort):
            error = KeyboardInterrupt()

    from launcher.errors import DeployError, ExitCode, Problem
    from launcher.result import Result

    command = command or next((word for word in argv if not word.startswith("-")), "")
    if isinstance(error, DeployError):
        return Result.from_error(command, error)
    if isinstance(error, KeyboardInterrupt):
        problem = Problem("interrupted", "interrupted")
        return Result(command, exit_code=ExitCode.INTERRUPTED, errors=(problem,))
    from launcher.cli.crash import report_crash

    result: Result[object] = Result(
        command, exit_code=ExitCode.DEFECT, errors=(report_crash(argv),)
    )
    if as_json:  # the person at the terminal is told as well
        from launcher.report import emit

        emit(result, as_json=False)
    return result


def _stop_writing() -> None:
    """The reader (`| head`) went away; Python must not try to flush into the closed pipe either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
