"""`ernie-deploy restart TARGET`."""

from __future__ import annotations

import click

from launcher.cli import completing
from launcher.cli.options import is_profile, load_profile, profile_options, target_instance
from launcher.cli.up import listener
from launcher.cli.verb import json_option, verb
from launcher.result import Result


@click.command("restart")
@click.argument("target", shell_complete=completing.targets)
@profile_options
@click.option("--force", multiple=True, metavar="CHECK", help="As for `up`.")
@json_option
@verb
def command(
    target: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    force: tuple[str, ...],
    as_json: bool,
) -> Result:
    """Take TARGET down and bring it up again, on the ports it had.

    A profile is read anew; an instance's name restarts what ran. The profile, its engine, its
    secrets and its ports are checked before anything is stopped.
    """
    from launcher.doctor.preflight import preflight
    from launcher.instance.restart import restart

    if is_profile(target):
        loaded = load_profile(target, overlays, sets, name)
    else:
        path = target_instance(target).folder / "profile.json"
        loaded = load_profile(str(path), overlays, sets, name, resolved=True)
    return restart(
        loaded,
        on_event=listener(as_json),
        preflight=lambda prepared, keeper: preflight(prepared, force, keeper),
    )
