"""From a verb's function to its exit code: expected errors, defects, a reader that went away.

Free of click, so that `quick` can answer without it.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.result import Result


def prepare_streams() -> None:
    """Let no character end a verb: an ASCII or GBK terminal cannot show some of them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run_verb(
    name: str,
    function: Callable[[], Result[object]],
    argv: Sequence[str],
    *,
    as_json: bool,
    passing: tuple[type[BaseException], ...] = (),
) -> int:
    """Show what `function` returns or the expected error it raises; return the exit code.

    `argv` is the command line, for a report of a defect; exceptions of the types in `passing`
    are left to the caller.
    """
    from launcher.errors import DeployError, ExitCode
    from launcher.report import emit
    from launcher.result import Result

    try:
        result = function()
    except DeployError as error:
        result = Result.from_error(name, error)
    except BrokenPipeError:
        return stop_writing(ExitCode.DONE)
    except KeyboardInterrupt:
        from launcher.report.interrupted import INTERRUPTED

        result = Result(name, exit_code=ExitCode.INTERRUPTED, errors=(INTERRUPTED,))
    except passing:
        raise
    except Exception:
        from launcher.cli.crash import show_crash

        return int(show_crash(name, list(argv), as_json=as_json))
    try:
        emit(result, as_json=as_json)
    except BrokenPipeError:
        return stop_writing(result.exit_code)
    return int(result.exit_code)


def stop_writing(code: int) -> int:
    """The reader (`| head`) went away; click would call that exit code 1, a negative verdict.

    Python must not try to flush into the closed pipe at exit either.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(code)
