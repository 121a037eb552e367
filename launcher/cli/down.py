"""`ernie-deploy down TARGET`."""

from __future__ import annotations

import math
from typing import Any

import click

from launcher.cli import completing
from launcher.cli.options import target_instance
from launcher.cli.verb import json_option, verb
from launcher.keeper.requests import LONGEST_DRAIN
from launcher.result import Result


class _Seconds(click.FloatRange):
    """A number of seconds; click's own range lets `nan` through."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


@click.command("down")
@click.argument("target", shell_complete=completing.targets)
@click.option(
    "--drain",
    type=_Seconds(0, LONGEST_DRAIN),
    metavar="SECONDS",
    help="Let running requests finish first.",
)
@json_option
@verb
def command(target: str, drain: float | None) -> Result:
    """Stop TARGET (an instance or its profile) and show that nothing is left.

    Works after the keeper was killed. Stopping what does not run is done already.
    """
    from launcher.instance.ending import down

    return down(target_instance(target, must_exist=False), drain=drain)
