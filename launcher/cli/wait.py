"""`ernie-deploy wait TARGET --for ready|idle|stopped`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import duration, target_instance
from launcher.cli.targets import target_service
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.observe.wait import Waited
    from launcher.service.wait import ServiceWaited

GOALS = ("ready", "idle", "stopped")


@click.command(
    "wait",
    epilog=examples(
        "wait ernie-tiny-cpu --for ready --timeout 10m",
        "wait ernie-tiny-cpu --for idle",
        "wait ernie-tiny-cpu --for stopped --json",
        arguments=TARGET,
    ),
)
@click.argument("target", shell_complete=completing.targets)
@click.option(
    "--for", "goal", type=click.Choice(GOALS), required=True,
    help="ready: it takes requests. idle: ready, and no request waits. stopped: nothing runs.",
)  # fmt: skip
@click.option(
    "--timeout", callback=duration, metavar="DURATION",
    help="Wait no longer (30, 90s, 10m), and for what does not exist or is stopped too.",
)  # fmt: skip
@json_option
@verb
def command(target: str, goal: str, timeout: float | None) -> Result[Waited | ServiceWaited]:
    """Wait until TARGET is in a state, and return as soon as it is.

    Exit code 0: it is. 5: the time is over. At once, with the cause, where it cannot be any more:
    4 the start failed, 6 it died or its keeper was killed, 3 its state cannot be used here, 1 it is
    stopped and no --timeout is given. A service is ready when its front door and all its replicas
    are, and no rollout is under way.
    """
    from launcher.observe.wait import Goal, wait

    service = target_service(target)
    if service is not None:
        from launcher.service.wait import wait_for_service

        return wait_for_service(service, Goal(goal), timeout)
    return wait(target_instance(target, must_exist=False), Goal(goal), timeout)
