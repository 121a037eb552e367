"""What all verbs share: `--json`, expected errors, and the way a result is shown."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from launcher.cli import boundary
from launcher.result import Result

Function = TypeVar("Function", bound=Callable[..., object])


class VerbGroup(click.Group):
    """Verbs below a noun (`profiles list`): a word that is none of them names the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Click's, but for the message."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            from launcher.cli.nearest import no_such_verb

            ctx.fail(no_such_verb(args[0], self.commands, ctx.info_name or ""))
        return super().resolve_command(ctx, args)


def json_option(function: Function) -> Function:
    """`--json`: one envelope on stdout."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on stdout (schema ernie-deploy/2)."
    )(function)


def verb(function: Callable[..., Result[object]]) -> Callable[..., int]:
    """Show what `function` returns or the expected error it raises; return the exit code.

    The wrapped command must have the option of `json_option`. `function` may take `as_json`.
    """
    wants_json = "as_json" in function.__code__.co_varnames[: function.__code__.co_argcount]

    @functools.wraps(function)
    def run(*args: object, as_json: bool = False, **options: object) -> int:
        context = click.get_current_context()
        if wants_json:
            options["as_json"] = as_json
        return boundary.run(
            lambda: function(*args, **options),
            context.obj or sys.argv[1:],
            command=context.command_path.partition(" ")[2],
            as_json=as_json,
        )

    return run
