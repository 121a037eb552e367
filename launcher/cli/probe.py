"""`ernie-deploy probe NAME --live | --ready | --startup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import duration
from launcher.cli.targets import run_probe
from launcher.cli.verb import json_option, verb
from launcher.instance.probe import LONGEST, SHORTEST, TIMEOUT
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.probe import ProbeAnswer


def _timeout(ctx: click.Context, param: click.Parameter, value: str | None) -> float:
    seconds = duration(ctx, param, value)
    if seconds is None:
        return TIMEOUT
    if not SHORTEST <= seconds <= LONGEST:
        raise click.BadParameter(f"{value} is not from {SHORTEST:g} s to {LONGEST:g} s", ctx, param)
    return seconds


@click.command(
    "probe",
    epilog=examples("probe ernie-tiny-cpu --live", "probe ernie-tiny-cpu --ready --json",
                    arguments=TARGET),
)  # fmt: skip
@click.argument("target", shell_complete=completing.targets)
@click.option("--live", "kinds", flag_value="live", multiple=True, help="Is the engine alive?")
@click.option("--ready", "kinds", flag_value="ready", multiple=True, help="Should it get requests?")
@click.option("--startup", "kinds", flag_value="startup", multiple=True, help="Was it ready once?")
@click.option(
    "--timeout",
    callback=_timeout,
    metavar="DURATION",
    help=f"Seconds to wait for the keeper, or with a unit (500ms, 3s); by default {TIMEOUT:g} s.",
)
@json_option
@verb
def command(target: str, kinds: tuple[str, ...], timeout: float) -> Result[ProbeAnswer]:
    """Ask the keeper of TARGET one question, for exec probes: exit code 0 for yes, 1 for no.

    The same answers as `/livez`, `/readyz` and `/startupz` of its HTTP endpoint, also where that
    cannot be reached. Where no keeper runs the exit code is 3, where it does not answer 5.
    """
    if len(set(kinds)) != 1:
        context = click.get_current_context()
        raise click.UsageError("give one of --live, --ready and --startup", context)
    return run_probe(target, kinds[0], timeout)
