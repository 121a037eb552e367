"""`ernie-deploy version`."""

from __future__ import annotations

import platform

import click

from launcher import __version__, paths
from launcher.cli.examples import examples
from launcher.cli.verb import json_option, verb
from launcher.result import Result


@click.command("version", epilog=examples("version --json"))
@json_option
@verb
def command() -> Result:
    """Versions of ernie-deploy, of Python and of every engine that is installed."""
    from launcher.environments import store

    installed = [
        {"engine": e.name, "version": str(e.version), "path": str(e.folder)}
        for e in store.complete()
    ]
    data = {
        "ernie-deploy": __version__,
        "python": platform.python_version(),
        "home": str(paths.home()),
        "engines": installed,
    }
    return Result("version", data)
