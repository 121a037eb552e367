"""`ernie-deploy profiles list | show | schema | init | diff-release`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import examples
from launcher.cli.options import profile_options
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.environments.payloads import ReleaseChanges
    from launcher.preparation.new_profile import NewProfile
    from launcher.report.payloads import (
        ProfileList,
        ProfileSchema,
        ShownProfile,
    )


@click.group(
    "profiles",
    cls=VerbGroup,
    epilog=examples("profiles list", "profiles init ERNIE-4.5-0.3B --gpu a10 -o profile.yaml"),
)
def command() -> None:
    """List, show and start profiles; print the schema.

    FILE is a profile's path, or the file name of a shipped one.
    """


@command.command("list", epilog=examples("profiles list"))
@json_option
@verb
def list_profiles() -> Result[ProfileList]:
    """The profiles in ./profiles and those that ship."""
    from launcher.profile import catalogue
    from launcher.report.payloads import ProfileList

    return Result("profiles list", ProfileList(catalogue.listing()))


@command.command(epilog=examples("profiles show profile.yaml --origins"))
@click.argument("file", shell_complete=completing.profiles)
@profile_options
@click.option("--origins", is_flag=True, help="Say for every value where it came from.")
@json_option
@verb
def show(
    file: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    origins: bool,
) -> Result[ShownProfile]:
    """The whole profile after extends, overlays, variables, options and defaults."""
    from launcher import profile
    from launcher.report.payloads import ShownProfile

    loaded = profile.load(file, overlays=overlays, sets=sets, name=name, need_model=False)
    data = ShownProfile(
        profile=loaded.resolved,
        path=loaded.path,
        notes=tuple(note.text() for note in loaded.notes),
        origins=loaded.origins if origins else None,
    )
    return Result("profiles show", data, loaded.name)


@command.command(epilog=examples("profiles schema > profile.schema.json"))
@json_option
@verb
def schema() -> Result[ProfileSchema]:
    """The JSON Schema of profiles (draft 2020-12), for editors."""
    from launcher.profile.json_schema import json_schema
    from launcher.report.payloads import ProfileSchema

    return Result("profiles schema", ProfileSchema(json_schema()))


@command.command(
    epilog=examples(
        "profiles init ERNIE-4.5-21B-A3B-Thinking --gpu a100-80g -o thinking.yaml",
        "profiles init baidu/ERNIE-4.5-300B-A47B-Paddle --gpu h800 --gpus 4",
        "profiles init ./model --engine vllm",
    )
)
@click.argument("model", required=False, shell_complete=completing.models)
@click.option(
    "--engine",
    default="fastdeploy",
    show_default=True,
    shell_complete=completing.engines,
    help="Engine of the profile.",
)
@click.option(
    "--gpu",
    metavar="NAME",
    shell_complete=completing.gpus,
    help="Fit the profile to this GPU, e.g. a10-24g. Default: the GPUs of this machine.",
)
@click.option(
    "--gpus",
    "count",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of GPUs that may be used.  [default: 8 with --gpu, else those of this machine]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write to FILE instead of stdout. An existing file is an error without --force.",
)
@click.option("--force", is_flag=True, help="Replace the file of --output if it exists.")
@json_option
@verb
def init(
    model: str | None, engine: str, gpu: str | None, count: int | None, output: str | None,
    force: bool,
) -> Result[NewProfile]:  # fmt: skip
    """Write a profile for MODEL: the documented settings, fitted to a GPU.

    MODEL is a hub id, a folder or the name of an ERNIE model. Each value has its source as a
    comment. Without MODEL, write a commented profile with every key.
    """
    from launcher.preparation.new_profile import new_profile

    return new_profile(model, engine, gpu=gpu, count=count, output=output, overwrite=force)


@command.command("diff-release", epilog=examples("profiles diff-release profile.yaml 2.2 2.4"))
@click.argument("file", shell_complete=completing.profiles)
@click.argument("old")
@click.argument("new")
@profile_options
@json_option
@verb
def diff_release(
    file: str,
    old: str,
    new: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
) -> Result[ReleaseChanges]:
    """What changes for a FastDeploy profile from release OLD to NEW."""
    from launcher import profile
    from launcher.environments.judge import compare_releases

    loaded = profile.load(file, overlays=overlays, sets=sets, name=name, need_model=False)
    return Result("profiles diff-release", compare_releases(loaded, old, new), loaded.name)
