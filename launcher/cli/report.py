"""`ernie-deploy report TARGET`: the serving card of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.report_options import FILE
from launcher.cli.targets import readable_instance, smoke_target, target_service
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.card.payloads import CardSmoke, ServingCard


@click.command(
    "report",
    epilog=examples(
        "report ernie-tiny-cpu --html card.html",
        "report ernie-tiny-cpu --run-smoke --junit card.xml",
        arguments=TARGET,
    ),
)
@click.argument("target", shell_complete=completing.targets)
@click.option("--html", type=FILE, help="Write the card as one HTML page to this file.")
@click.option("--junit", type=FILE, help="Write a JUnit XML report to this file.")
@click.option(
    "--smoke",
    metavar="FILE",
    help="Show the smoke run of this file (`smoke --json`); default: the last run.",
)
@click.option("--run-smoke", is_flag=True, help="Run the smoke tests now and show that run.")
@click.option(
    "--bench",
    metavar="FILE",
    help="Show the bench run of this file (`bench --output`); default: the last run.",
)
@json_option
@verb
def command(
    target: str,
    html: Path | None,
    junit: Path | None,
    smoke: str | None,
    run_smoke: bool,
    bench: str | None,
) -> Result[ServingCard]:
    """Make the serving card of TARGET: everything that is known of it, on one page.

    Profile with the origin of each value, versions and hashes, memory plan and memory in use,
    doctor, smoke tests, bench, incidents, restarts and events. No secret is shown.

    Exit codes: 0 no part fails; 1 it does not serve, the doctor says FAIL, the model does not fit,
    the smoke tests fail or a gate of the bench is missed; the card is written anyway.
    """
    from launcher.card import collect, runs
    from launcher.report.files import check_writable, write_reports

    if smoke is not None and run_smoke:
        raise click.UsageError("--smoke and --run-smoke exclude each other.")
    check_writable(html=html, junit=junit)
    service = target_service(target)
    instance = readable_instance(target) if service is None else None
    smoke_run = runs.given_smoke(smoke) if smoke is not None else None
    given_bench = runs.given_bench(bench) if bench is not None else None
    if run_smoke:
        smoke_run = _run_smoke(target)
    inputs = collect.Inputs(smoke_run, given_bench)
    if service is not None:
        result = collect.card_of_service(service, inputs)
    else:
        assert instance is not None  # noqa: S101  (one of the two is)
        result = collect.card_of_instance(instance, inputs)
    return write_reports(result, html=html, junit=junit)


def _run_smoke(target: str) -> CardSmoke:
    """The suite of the target, as `smoke TARGET` runs it.

    Raises:
        DeployError: it does not serve.
    """
    from launcher.card import runs
    from launcher.smoke.run.suite import smoke

    return runs.made_smoke(smoke(smoke_target(target)).payload)
