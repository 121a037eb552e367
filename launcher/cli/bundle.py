"""`ernie-deploy bundle create | install`: everything for a host without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import PROFILE, examples
from launcher.cli.options import load_profile, profile_options
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.weights.payloads import CreatedBundle, InstalledBundle


@click.group(
    "bundle",
    cls=VerbGroup,
    epilog=examples("bundle create profile.yaml --output ernie.tar", "bundle install ernie.tar"),
)
def command() -> None:
    """Carry a server to a host without a network.

    A bundle has the engine's wheels, the weights, the profile and ernie-deploy itself, each file
    with its SHA-256.
    """


@command.command(
    epilog=examples(
        "bundle create profile.yaml --output ernie.tar",
        "bundle create profile.yaml --arch cu126",
        arguments=PROFILE,
    )
)
@click.argument("profile", shell_complete=completing.profiles)
@profile_options
@click.option(
    "-o", "--output", metavar="PLACE", help="A folder, or FILE.tar.  [default: ./NAME-bundle]"
)
@click.option("--python", metavar="PATH", help="Interpreter of the version that the host has.")
@click.option("--index-url", metavar="URL", help="Package index instead of pip's configured one.")
@click.option(
    "--find-links", metavar="PLACE", multiple=True, help="Folder or page of wheels; repeatable."
)
@click.option("--arch", metavar="KIND", help="FastDeploy only: wheels for another machine's GPU.")
@json_option
@verb
def create(
    profile: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    output: str | None,
    python: str | None,
    index_url: str | None,
    find_links: tuple[str, ...],
    arch: str | None,
) -> Result[CreatedBundle]:
    """Make a bundle of PROFILE: its engine, its weights, itself, and this tool.

    The weights must be here: `model pull PROFILE`, or a folder. The wheels are for this machine's
    processor. The bundle gets its name when it is whole.
    """
    from launcher.environments.install import Options
    from launcher.environments.progress import Progress
    from launcher.environments.steps import Sources
    from launcher.weights import bundle_create

    loaded = load_profile(profile, overlays, sets, name, pulled=False)
    target = Path(output).expanduser().absolute() if output else None
    request = bundle_create.Request(
        loaded,
        target or bundle_create.default_output(loaded),
        Options(python, Sources(index_url, find_links), arch),
    )
    return Result("bundle create", bundle_create.create(request, Progress()), loaded.name)


@command.command(epilog=examples("bundle install ernie.tar", "bundle install ./ernie-bundle"))
@click.argument("bundle", shell_complete=completing.files)
@click.option("--python", metavar="PATH", help="Interpreter to make the engine's environment from.")
@click.option("--profiles", metavar="DIR", help="Folder for the profile.  [default: the state's]")
@click.option("--force", is_flag=True, help="Replace a profile of the same name.")
@json_option
@verb
def install(
    bundle: str, python: str | None, profiles: str | None, force: bool
) -> Result[InstalledBundle]:
    """Verify BUNDLE, then install its engine, weights and profile. Asks no network.

    A damaged bundle is refused before anything is changed.
    """
    from launcher.environments.progress import Progress
    from launcher.weights.bundle_install import Placement, install_bundle

    folder = Path(profiles).expanduser().absolute() if profiles else None
    path = Path(bundle).expanduser().absolute()
    done = install_bundle(path, Placement(python, folder, force), Progress())
    return Result("bundle install", done)
