"""`ernie-deploy scale SERVICE N`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.service_options import change_options, changing, service_name
from launcher.cli.verb import json_option, verb
from launcher.profile.combine import MOST_REPLICAS
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.payloads import Deployed


@click.command("scale", epilog=examples("scale ernie-thinking 3", arguments=TARGET))
@click.argument("service", shell_complete=completing.services)
@click.argument("replicas", type=click.IntRange(1, MOST_REPLICAS))
@click.option("--dry-run", is_flag=True, help="Show the steps and GPUs; change nothing.")
@change_options
@json_option
@verb
def command(
    service: str,
    replicas: int,
    dry_run: bool,
    message: str,
    force: tuple[str, ...],
    as_json: bool,
) -> Result[Deployed]:
    """Serve SERVICE by REPLICAS replicas of the same revision.

    New ones are proved before they get traffic; those that go finish their requests first. The next
    `deploy` goes by the profile's `service.replicas` again.
    """
    from launcher.service.deploy import scale

    with changing(as_json, message, force, dry_run=dry_run) as request:
        return scale(service_name(service), replicas, request)
