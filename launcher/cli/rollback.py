"""`ernie-deploy rollback SERVICE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.service_options import change_options, changing, service_name
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.payloads import Deployed


@click.command(
    "rollback",
    epilog=examples("rollback ernie-thinking", "rollback ernie-thinking --to 3f9c1a",
                    arguments=TARGET),
)  # fmt: skip
@click.argument("service", shell_complete=completing.services)
@click.option("--to", metavar="REVISION", help="The revision; default: the one that served before.")
@click.option(
    "--strategy",
    type=click.Choice(["auto", "blue-green", "rolling", "recreate"]),
    help="Replace the replicas in this way; default: `service.strategy` of the profile.",
)
@click.option("--dry-run", is_flag=True, help="Show the steps, GPUs and downtime; change nothing.")
@change_options
@json_option
@verb
def command(
    service: str,
    to: str | None,
    strategy: str | None,
    dry_run: bool,
    message: str,
    force: tuple[str, ...],
    as_json: bool,
) -> Result[Deployed]:
    """Serve an earlier revision of SERVICE again.

    The same steps as `deploy`: the replicas of the earlier revision are started, proved and watched
    before those of today stop.
    """
    from launcher.service.deploy import rollback

    with changing(as_json, message, force, strategy, dry_run=dry_run) as request:
        return rollback(service_name(service), request, to=to)
