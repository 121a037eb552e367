"""`ernie-deploy validate PROFILE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import profile_options
from launcher.cli.targets import validate_profile
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.environments.payloads import Validation


@click.command(
    "validate",
    epilog=examples(
        "validate profile.yaml", "validate profile.yaml --engine-version 2.4", arguments=PROFILE
    ),
)
@click.argument("profile", shell_complete=completing.profiles)
@profile_options
@click.option("--engine-version", metavar="V", help="Judge for this version, installed or not.")
@json_option
@verb
def command(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    engine_version: str | None,
) -> Result[Validation]:
    """Check PROFILE against the installed release of its engine, or every one it admits.

    Nothing is started and nothing is downloaded.
    """
    return validate_profile(profile, overlays, sets, name, engine_version)
