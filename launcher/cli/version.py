"""`ernie-deploy version`."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import click

from launcher import __version__, paths
from launcher.cli.examples import examples
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.report.payloads import Version


@click.command("version", epilog=examples("version --json"))
@json_option
@verb
def command() -> Result[Version]:
    """Versions of ernie-deploy, of Python and of every engine that is installed."""
    from launcher.environments import store
    from launcher.report.payloads import InstalledEngine, Version

    installed = [InstalledEngine(e.name, str(e.version), str(e.folder)) for e in store.complete()]
    data = Version(__version__, platform.python_version(), str(paths.home()), tuple(installed))
    return Result("version", data)
