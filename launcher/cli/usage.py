"""A wrong command line: what is wrong with it, and where its help is."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.errors import ExitCode, Problem
from launcher.result import Result


def usage_error(error: click.UsageError, argv: Sequence[str]) -> Result[object] | ExitCode:
    """The answer to a command line that click cannot take; its help where a group stands alone."""
    is_group = error.ctx is not None and isinstance(error.ctx.command, click.Group)
    if error.ctx is not None and is_group and not argv[len(error.ctx.command_path.split()) - 1 :]:
        # A bare group (`engine`): a click newer than 8.1 calls that an error with the whole help.
        click.echo(error.ctx.get_help(), err=True)
        return ExitCode.USAGE
    command = error.ctx.command_path.partition(" ")[2] if error.ctx else ""
    hint = f"{error.ctx.command_path} --help" if error.ctx else "ernie-deploy --help"
    problem = Problem("usage", error.format_message(), remedy=f"see `{hint}`")
    return Result(command, exit_code=ExitCode.USAGE, errors=(problem,))
