"""`ernie-deploy plan PROFILE`."""

from __future__ import annotations

import click

from launcher.cli.options import load_profile, profile_options
from launcher.cli.verb import json_option, verb
from launcher.result import Result


@click.command("plan")
@click.argument("profile")
@profile_options
@click.option("--engine-version", metavar="V", help="Plan for this version, installed or not.")
@json_option
@verb
def command(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    engine_version: str | None,
) -> Result:
    """Show exactly what `up PROFILE` would run: argv, environment, files, ports, and why."""
    from launcher.instance.show import show_plan

    return show_plan(load_profile(profile, overlays, sets, name), engine_version)
