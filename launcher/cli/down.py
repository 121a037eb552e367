"""`ernie-deploy down TARGET`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import duration, target_instance
from launcher.cli.targets import check_stop, target_service
from launcher.cli.verb import json_option, verb
from launcher.keeper.requests import LONGEST_DRAIN
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.payloads import Down
    from launcher.service.payloads import ServiceDown


def _drain(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    seconds = duration(ctx, param, value)
    if seconds is not None and seconds > LONGEST_DRAIN:
        raise click.BadParameter(f"{value} is longer than {LONGEST_DRAIN:g} seconds", ctx, param)
    return seconds


@click.command(
    "down",
    epilog=examples("down ernie-tiny-cpu", "down profile.yaml --drain 90s", arguments=TARGET),
)
@click.argument("target", shell_complete=completing.targets)
@click.option(
    "--drain",
    callback=_drain,
    metavar="DURATION",
    help="Time for running requests to finish, instead of the profile's: seconds, or with a unit"
    " (90s, 5m). Given again while a stop is under way, a shorter one ends it.",
)
@json_option
@verb
def command(target: str, drain: float | None) -> Result[Down | ServiceDown]:
    """Stop TARGET (an instance, a service or a profile) and show that nothing is left.

    Works after the keeper was killed. Stopping what does not run is done already; what failed or
    died counts as stopped afterwards. A service closes its front door first, lets running requests
    finish, and stops its replicas. The last replica that serves is not stopped by its own name.
    """
    service = target_service(target)
    if service is not None:
        from launcher.service.teardown import down_service

        return down_service(service.name, drain=drain)
    from launcher.instance.teardown import down

    instance = target_instance(target, must_exist=False)
    check_stop(instance.name, "down")
    return down(instance, drain=drain)
