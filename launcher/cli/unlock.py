"""`ernie-deploy unlock SERVICE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.service_options import service_name
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.payloads import Held


@click.command("unlock", epilog=examples("unlock ernie-thinking", arguments=TARGET))
@click.argument("service", shell_complete=completing.services)
@json_option
@verb
def command(service: str) -> Result[Held]:
    """Allow changes of SERVICE again."""
    from launcher.service.history import release

    return release(service_name(service))
