"""`ernie-deploy status [TARGET]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.targets import show_status
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.instance_status import Status


@click.command(
    "status", epilog=examples("status", "status ernie-tiny-cpu --json", arguments=TARGET)
)
@click.argument("target", shell_complete=completing.targets, required=False)
@json_option
@verb
def command(target: str | None) -> Result[Status]:
    """Say how TARGET is, or all instances.

    Of TARGET the exit code is 0 only if it is ready and healthy. Of all it is 0 if each one that
    should run is: what was stopped does not count, what failed, died or was lost does until a
    `down` of it.
    """
    return show_status(target)
