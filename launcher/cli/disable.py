"""`ernie-deploy disable TARGET`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.enable import UNITS
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import target_instance
from launcher.cli.targets import check_alone
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.boot import Boot


@click.command(
    "disable",
    epilog=examples("disable ernie-tiny-cpu", "disable profile.yaml --user", arguments=TARGET),
)
@click.argument("target", shell_complete=completing.targets)
@UNITS
@json_option
@verb
def command(target: str, system: bool | None) -> Result[Boot]:
    """Remove the systemd unit that `enable` wrote for TARGET, and nothing else.

    An instance that runs goes on.
    """
    from launcher.instance.boot import disable

    check_alone(target, "disable")
    return disable(target_instance(target, must_exist=False).name, system=system)
