"""`ernie-deploy render TARGET PROFILE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.render.rendering import Rendered

NAMES = ("systemd", "compose", "quadlet", "kubernetes", "slurm")
MOST_REPLICAS = 1000


@click.command(
    "render",
    epilog=examples(
        "render systemd profile.yaml -o units",
        "render kubernetes profile.yaml --replicas 2 -o deploy/kubernetes",
        arguments=PROFILE,
    ),
)
@click.argument("target", type=click.Choice(NAMES))
@click.argument("profile", shell_complete=completing.profiles)
@profile_options
@click.option("-o", "--output", metavar="DIR", help="Write the files below DIR. Default: stdout.")
@click.option(
    "--engine-version", metavar="V",
    help="Render for this release. Default: the one that `engine install` installs.",
)  # fmt: skip
@click.option(
    "--replicas", type=click.IntRange(1, MOST_REPLICAS),
    help="Number of servers; default: `service.replicas` of the profile, else 1.",
)  # fmt: skip
@json_option
@verb
def command(
    target: str,
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    output: str | None,
    engine_version: str | None,
    replicas: int | None,
) -> Result[Rendered]:
    """Write the files that run PROFILE under systemd, in containers, on Kubernetes or on Slurm.

    Nothing is started, and this machine needs neither the engine nor a GPU. The same profile and
    the same version of ernie-deploy give the same bytes.
    """
    loaded = load_profile(profile, overlays, sets, name, engine_version)
    from launcher.render.rendering import render, write

    rendered = render(target, loaded, version=engine_version, replicas=replicas)
    if output is not None:
        return write(rendered, output, loaded.name)
    return Result("render", rendered, loaded.name)
