"""`ernie-deploy lock SERVICE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.service_options import message_option, service_name
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.payloads import Held


@click.command(
    "lock", epilog=examples("lock ernie-thinking -m 'load test until 18:00'", arguments=TARGET)
)
@click.argument("service", shell_complete=completing.services)
@message_option
@json_option
@verb
def command(service: str, message: str) -> Result[Held]:
    """Forbid changes of SERVICE until `unlock`; who tries is told who locked it, and why."""
    from launcher.service.history import hold

    return hold(service_name(service), message)
