"""`ernie-deploy diff PROFILE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.render.drift import Drift


@click.command(
    "diff",
    epilog=examples(
        "diff profile.yaml", "diff profile.yaml --rendered deploy/kubernetes", arguments=PROFILE
    ),
)
@click.argument("profile", shell_complete=completing.profiles)
@profile_options
@click.option(
    "--rendered", "folder", metavar="DIR", help="Compare the files that `render -o DIR` wrote too."
)
@json_option
@verb
def command(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    folder: str | None,
) -> Result[Drift]:
    """Compare PROFILE with the instance that runs, and with rendered files.

    Exit code 1 where one of them does not fit the profile. An instance that does not run is no
    difference.
    """
    loaded = load_profile(profile, overlays, sets, name)
    from launcher.render.drift import drift

    return drift(loaded, folder)
