"""What all verbs share: `--json`, expected errors, and the way a result is shown."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from launcher.errors import DeployError, ExitCode, Problem
from launcher.result import Result

Function = TypeVar("Function", bound=Callable[..., Any])


def json_option(function: Function) -> Function:
    """`--json`: one envelope on stdout."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on stdout (schema ernie-deploy/1)."
    )(function)


def verb(function: Callable[..., Result]) -> Callable[..., int]:
    """Show what `function` returns or the expected error it raises; return the exit code.

    The wrapped command must have the option of `json_option`. `function` may take `as_json`.
    """
    wants_json = "as_json" in function.__code__.co_varnames[: function.__code__.co_argcount]

    @functools.wraps(function)
    def run(*args: Any, as_json: bool = False, **options: Any) -> int:
        from launcher.report import emit

        context = click.get_current_context()
        name = context.command_path.partition(" ")[2]
        try:
            if wants_json:
                options["as_json"] = as_json
            result = function(*args, **options)
        except DeployError as error:
            result = Result.from_error(name, error)
        except BrokenPipeError:
            return _nobody_reads(ExitCode.DONE)
        except KeyboardInterrupt:
            from launcher.report.interrupted import INTERRUPTED

            result = Result(name, exit_code=ExitCode.INTERRUPTED, errors=(INTERRUPTED,))
        except (click.ClickException, click.exceptions.Exit, click.exceptions.Abort):
            raise
        except Exception:
            from launcher.cli.crash import show_crash

            return int(show_crash(name, context.obj or sys.argv[1:], as_json=as_json))
        try:
            emit(result, as_json=as_json)
        except BrokenPipeError:
            return _nobody_reads(result.exit_code)
        return int(result.exit_code)

    return run


def _nobody_reads(code: ExitCode) -> int:
    """The reader (`| head`) went away; click would call that exit code 1, a negative verdict.

    Python must not try to flush into the closed pipe at exit either.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(code)


def show_usage_error(error: click.UsageError, words: list[str]) -> ExitCode:
    """Say what is wrong with the command line, as JSON where JSON was asked for."""
    from launcher.report import emit

    is_group = error.ctx is not None and isinstance(error.ctx.command, click.Group)
    if error.ctx is not None and is_group and not words[len(error.ctx.command_path.split()) - 1 :]:
        # A bare group (`engine`): a click newer than 8.1 calls that an error with the whole help.
        click.echo(error.ctx.get_help(), err=True)
        return ExitCode.USAGE
    command = error.ctx.command_path.partition(" ")[2] if error.ctx else ""
    hint = f"{error.ctx.command_path} --help" if error.ctx else "ernie-deploy --help"
    problem = Problem("usage", error.format_message(), remedy=f"see `{hint}`")
    emit(Result(command, exit_code=ExitCode.USAGE, errors=(problem,)), as_json="--json" in words)
    return ExitCode.USAGE
