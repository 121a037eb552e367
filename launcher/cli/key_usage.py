"""`ernie-deploy usage SERVICE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import duration
from launcher.cli.service_options import service_name
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.key_payloads import Usage


@click.command(
    "usage",
    epilog=examples(
        "usage ernie-thinking", "usage ernie-thinking --since 24h --json", arguments=TARGET
    ),
)
@click.argument("service", shell_complete=completing.services)
@click.option(
    "--since", callback=duration, metavar="DURATION",
    help="Only the last 24h or so, in whole hours.  [default: all that is kept, 35 days]",
)  # fmt: skip
@json_option
@verb
def command(service: str, since: float | None) -> Result[Usage]:
    """Show requests, errors, bytes and tokens of SERVICE by the name of the API key.

    Tokens are those of plain answers: a stream is passed on as it comes and is not counted.
    """
    from launcher.service.key_verbs import usage

    return usage(service_name(service), since)
