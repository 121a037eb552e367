"""`ernie-deploy smoke TARGET`: prove that a server works."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET_OR_URL, examples
from launcher.cli.options import EngineName, duration
from launcher.cli.report_options import ReportFiles, report_options
from launcher.cli.targets import smoke_target
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.smoke.run.results import CheckList, SmokeRun
    from launcher.smoke.run.runner import Progress

CLIENTS = ("requests", "openai", "anthropic", "all")


@click.command(
    "smoke",
    epilog=examples(
        "smoke ernie-tiny-cpu --tag full --junit report.xml",
        "smoke http://gpu7:8180 --api-key env:ERNIE_API_KEY --client all",
        arguments=TARGET_OR_URL,
    ),
)
@click.argument("target", required=False, shell_complete=completing.targets)
@click.option("--check", "names", multiple=True, help="Run this check (repeatable).")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    shell_complete=completing.tags,
    help="Run the checks with this tag: quick (the default), full, tools, reasoning, "
    "long, load, security, and others (repeatable).",
)
@click.option("--list", "listing", is_flag=True, help="List the checks and tags; takes no TARGET.")
@click.option(
    "--client",
    "clients",
    multiple=True,
    type=click.Choice(CLIENTS),
    help="Ask through this one, default: requests; all: every one that fits (repeatable).",
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 1000),
    help="Run each check N times and report the pass rate; default: once.",
)
@click.option(
    "--budget",
    callback=duration,
    metavar="DURATION",
    help="Stop after this time in all and say what was not checked; default: 15m.",
)
@click.option("--model", help="The model to ask for; default: the only one the server lists.")
@click.option("--api-key", "key", help="Reference to the key: env:NAME, file:PATH or cmd:COMMAND.")
@click.option(
    "--dialect",
    type=click.Choice(["openai", "anthropic"]),
    help="How a URL is spoken to; default: openai.",
)
@click.option(
    "--engine",
    type=EngineName(),
    help="Say what a URL is; default: recognized by its model list or metrics.",
)
@click.option("--release", help="Release of --engine, for its known deviations.")
@click.option(
    "--promise",
    "promises",
    multiple=True,
    help="A capability the server promises; failing it is a failure (repeatable).",
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set a profile's key.")
@click.option("--overlay", "overlays", multiple=True, metavar="FILE", help="Merge this file.")
@report_options
@json_option
@verb
def command(
    target: str | None,
    names: tuple[str, ...],
    tags: tuple[str, ...],
    listing: bool,
    clients: tuple[str, ...],
    repeat: int | None,
    budget: float | None,
    model: str | None,
    key: str | None,
    dialect: str | None,
    engine: str | None,
    release: str | None,
    promises: tuple[str, ...],
    sets: tuple[str, ...],
    overlays: tuple[str, ...],
    reports: ReportFiles,
    as_json: bool,
) -> Result[SmokeRun | CheckList]:
    """Prove that TARGET works.

    A service is asked through its front door.

    Exit codes: 0 every check passed, could not be checked, or failed as the release is known to;
    1 a check failed or was inconclusive; 3 nothing could be checked; 5 the budget ended first.
    """
    if listing:
        return _listing(target, names, tags)
    if target is None:
        raise click.UsageError("Missing argument 'TARGET'.")
    from launcher.smoke.run.suite import smoke

    reports.check()
    resolved = smoke_target(
        target,
        model=model,
        key=key,
        dialect=dialect,
        engine=engine,
        release=release,
        promises=promises,
        overlays=overlays,
        sets=sets,
    )
    with _progress(as_json) as progress:
        result = smoke(
            resolved,
            names=names,
            tags=tags,
            clients=clients,
            repeat=repeat,
            budget=budget,
            progress=progress,
        )
    return reports.write(result)


def _progress(as_json: bool) -> AbstractContextManager[Progress | None]:
    """What shows a person which check runs; a pipe is told at the end."""
    if as_json or not sys.stderr.isatty():
        return nullcontext()
    from launcher.report.smoke_progress import SmokeProgress

    return SmokeProgress(sys.stderr)


def _listing(
    target: str | None, names: tuple[str, ...], tags: tuple[str, ...]
) -> Result[CheckList]:
    if target is not None:
        raise click.UsageError("--list takes no TARGET: it lists the checks and sends no request.")
    from launcher.smoke.run.suite import catalogue

    return catalogue(names, tags)
