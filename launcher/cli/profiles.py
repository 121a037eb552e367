"""`ernie-deploy profiles list | show | schema | init | diff-release`."""

from __future__ import annotations

import click

from launcher.cli import completing
from launcher.cli.examples import examples
from launcher.cli.options import profile_options
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result


@click.group(
    "profiles",
    cls=VerbGroup,
    epilog=examples("profiles list", "profiles init --model ./model -o profile.yaml"),
)
def command() -> None:
    """List, show and start profiles; print the schema.

    FILE is a profile's path, or the file name of a shipped one.
    """


@command.command("list", epilog=examples("profiles list"))
@json_option
@verb
def list_profiles() -> Result:
    """The profiles in ./profiles and those that ship."""
    from launcher.profile import catalogue

    return Result("profiles list", {"profiles": catalogue.listing()})


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
) -> Result:
    """The whole profile after extends, overlays, variables, options and defaults."""
    from launcher import profile

    loaded = profile.load(file, overlays=overlays, sets=sets, name=name, need_model=False)
    data = {
        "profile": loaded.resolved,
        "path": loaded.path,
        "notes": [note.text() for note in loaded.notes],
    }
    if origins:
        data["origins"] = {
            key: {
                "source": origin.source,
                "line": origin.line,
                "column": origin.column,
                "note": origin.note,
            }
            for key, origin in loaded.origins.items()
        }
    return Result("profiles show", data, loaded.name)


@command.command(epilog=examples("profiles schema > profile.schema.json"))
@json_option
@verb
def schema() -> Result:
    """The JSON Schema of profiles (draft 2020-12), for editors."""
    from launcher.profile.json_schema import json_schema

    return Result("profiles schema", {"schema": json_schema()})


@command.command(epilog=examples("profiles init --engine vllm --model ./model -o profile.yaml"))
@click.option(
    "--engine",
    default="fastdeploy",
    show_default=True,
    shell_complete=completing.engines,
    help="The kind of server.",
)
@click.option("--model", help="Hub id or local folder.")
@click.option(
    "-o",
    "--output",
    default="profile.yaml",
    show_default=True,
    metavar="FILE",
    help="Where to write; an existing file is never overwritten.",
)
@json_option
@verb
def init(engine: str, model: str | None, output: str) -> Result:
    """Write a commented profile to start from."""
    from launcher.profile import catalogue

    catalogue.write_starter(output, engine, model)
    return Result("profiles init", {"file": output})


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
) -> Result:
    """What changes for a FastDeploy profile from release OLD to NEW."""
    from launcher import profile
    from launcher.environments.judge import compare_releases

    loaded = profile.load(file, overlays=overlays, sets=sets, name=name, need_model=False)
    return Result("profiles diff-release", compare_releases(loaded, old, new), loaded.name)
