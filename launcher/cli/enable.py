"""`ernie-deploy enable TARGET`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import is_profile, load_profile, profile_options, target_instance
from launcher.cli.targets import check_alone, service_profile
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.boot import Boot

UNITS = click.option(
    "--system/--user",
    "system",
    default=None,
    help="Use the system's units or your own. Default: --system as root, else --user.",
)


@click.command(
    "enable",
    epilog=examples(
        "enable ernie-tiny-cpu", "enable profile.yaml --name second --user", arguments=TARGET
    ),
)
@click.argument("target", shell_complete=completing.targets)
@profile_options
@UNITS
@json_option
@verb
def command(
    target: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    system: bool | None,
) -> Result[Boot]:
    """Start TARGET at every boot, by a systemd unit.

    The configuration is kept as it is now: run `enable` again after a change. Instances start in
    the order in which they were enabled, each after the one before it is ready. Nothing is
    started now. A service has no unit of its own: let one run `ernie-deploy deploy PROFILE`.
    """
    from launcher.instance.boot import enable
    from launcher.instance.options import read_options

    check_alone(target, "enable")
    if is_profile(target):
        loaded = load_profile(target, overlays, sets, name)
        if loaded.service is not None:
            raise service_profile(loaded, target, "enable")
        check_alone(loaded.name, "enable")
        return enable(loaded, system=system)
    instance = target_instance(target)
    path = str(instance.folder / "profile.json")
    loaded = load_profile(path, overlays, sets, name, resolved=True)
    return enable(loaded, system=system, force=read_options(instance).force)
