"""`ernie-deploy status [TARGET]`."""

from __future__ import annotations

import click

from launcher.cli import completing
from launcher.cli.options import target_instance
from launcher.cli.verb import json_option, verb
from launcher.result import Result


@click.command("status")
@click.argument("target", required=False, shell_complete=completing.targets)
@json_option
@verb
def command(target: str | None) -> Result:
    """Say how TARGET is, or all instances; exit code 0 only for what is ready and healthy."""
    from launcher.instance.status import status
    from launcher.instance.store import every_instance

    if target is not None:
        return status([target_instance(target)], one=True)
    return status(every_instance(), one=False)
