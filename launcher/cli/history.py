"""`ernie-deploy history SERVICE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.service_options import service_name
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.payloads import History


@click.command("history", epilog=examples("history ernie-thinking", arguments=TARGET))
@click.argument("service", shell_complete=completing.services)
@click.option("-n", "--newest", type=click.IntRange(1, 100_000), default=20, show_default=True,
              help="Show this many changes.")  # fmt: skip
@json_option
@verb
def command(service: str, newest: int) -> Result[History]:
    """Show the changes of SERVICE, the newest first.

    Who changed it, when, to which revision, with which engine, what the smoke checks said, how long
    it took and how it ended.
    """
    from launcher.service.history import history

    return history(service_name(service), newest)
