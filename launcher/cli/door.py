"""`ernie-deploy door PROFILE --endpoints DIR`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.door.endpoints import Doorway


@click.command(
    "door",
    epilog=examples(
        "door profile.yaml --endpoints /shared/endpoints --follow",
        arguments=PROFILE,
    ),
)
@click.argument("profile", shell_complete=completing.profiles)
@profile_options
@click.option(
    "--endpoints", required=True, metavar="DIR",
    help="Folder where each ready replica has a file; the batch script of Slurm writes them.",
)  # fmt: skip
@click.option(
    "-f", "--follow", is_flag=True, help="Follow the folder until Ctrl-C (exit code 130)."
)
@json_option
@verb
def command(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    endpoints: str,
    follow: bool,
    as_json: bool,
) -> Result[Doorway]:
    """Serve the replicas that a folder lists behind one address: that of PROFILE.

    For replicas that a batch system starts on other machines. HAProxy runs here as the instance
    NAME-door, and goes on without this command; `ernie-deploy down NAME-door` stops it.
    """
    from launcher.door import endpoints as published
    from launcher.service.guard import check_start

    loaded = load_profile(profile, overlays, sets, name)
    check_start(loaded.name, profile)
    folder = Path(endpoints).expanduser()
    result = published.open_door(loaded, folder)
    if not follow or result.data is None:
        return result
    from launcher.report import emit_line
    from launcher.report.door_text import change

    before = result.payload
    sys.stderr.write(f"{change(None, before)}\n")
    for doorway in published.follow(loaded, folder, before):
        if as_json:
            emit_line({"replicas": dict(doorway.replicas), "refused": list(doorway.refused)})
        else:
            sys.stderr.write(f"{change(before, doorway)}\n")
            sys.stderr.flush()
        before = doorway
    return result
