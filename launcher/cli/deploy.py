"""`ernie-deploy deploy PROFILE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import is_profile, load_profile, profile_options
from launcher.cli.service_options import change_options, changing, service_name
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.service.payloads import Deployed


@click.command(
    "deploy",
    epilog=examples(
        "deploy profile.yaml --message 'longer context'",
        "deploy profile.yaml --dry-run",
        "deploy --resume ernie-thinking",
        arguments=PROFILE,
    ),
)
@click.argument("profile", shell_complete=completing.targets)
@profile_options
@click.option(
    "--strategy",
    type=click.Choice(["auto", "blue-green", "rolling", "recreate"]),
    help="Replace the replicas in this way; default: `service.strategy` of the profile.",
)
@click.option("--dry-run", is_flag=True, help="Show the steps, GPUs and downtime; change nothing.")
@click.option("--resume", is_flag=True, help="Go on with a rollout whose command has ended.")
@click.option("--abort", is_flag=True, help="Lead such a rollout back to the old revision.")
@change_options
@json_option
@verb
def command(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    strategy: str | None,
    dry_run: bool,
    resume: bool,
    abort: bool,
    message: str,
    force: tuple[str, ...],
    as_json: bool,
) -> Result[Deployed]:
    """Serve PROFILE by replicas behind one address, and replace what served before.

    New replicas start beside the old ones, pass the smoke checks, get the traffic and are watched;
    only then the old ones finish their requests and stop. A failure at any step leaves the old
    revision serving. With --resume and --abort, PROFILE may be the name of the service.
    """
    if resume and abort:
        raise click.UsageError("--resume and --abort exclude each other.")
    from launcher.service import deploy as service

    with changing(as_json, message, force, strategy, dry_run=dry_run) as request:
        if resume or abort:
            target = service_name(profile, name)
            return service.resume(target, request) if resume else service.abort(target, request)
        if not is_profile(profile):
            raise click.UsageError(
                f"{profile!r} is not the path of a profile: it has a / or ends in .yaml"
            )
        return service.deploy(load_profile(profile, overlays, sets, name), request)
