"""`ernie-deploy drill NAME`: break an instance on purpose, and measure what happens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import target_instance
from launcher.cli.report_options import FILE
from launcher.cli.targets import check_alone
from launcher.cli.verb import json_option, verb
from launcher.errors import PreconditionError
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.drill.bar import Bar
    from launcher.drill.payloads import DrillRun, ScenarioList, ScenarioResult
    from launcher.drill.run import OnStep


@click.command(
    "drill",
    epilog=examples(
        "drill ernie-staging --yes --junit drill.xml",
        "drill ernie-staging --scenario kill-worker --rounds 10 --yes",
        "drill --list",
        arguments=TARGET,
    ),
)
@click.argument("target", required=False, shell_complete=completing.targets)
@click.option("--scenario", "names", multiple=True, help="Run this scenario (repeatable).")
@click.option("--list", "listing", is_flag=True, help="List the scenarios and their bars.")
@click.option(
    "--rounds", type=click.IntRange(1, 10_000), default=1, help="Run all of them N times."
)
@click.option(
    "--bars",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Replace bars: a YAML file, `SCENARIO: {detection: 0.2}`.",
)
@click.option("--yes", is_flag=True, help="Do not ask: this breaks a live service.")
@click.option(
    "--force",
    multiple=True,
    type=click.Choice(["in-use"]),
    help="Drill an instance although other clients are connected.",
)
@click.option("--junit", type=FILE, help="Write a JUnit XML report to this file.")
@json_option
@verb
def command(
    target: str | None,
    names: tuple[str, ...],
    listing: bool,
    rounds: int,
    bars: Path | None,
    yes: bool,
    force: tuple[str, ...],
    junit: Path | None,
    as_json: bool,
) -> Result[ScenarioList | DrillRun]:
    """Inject faults into the running instance TARGET and measure what its keeper does.

    This breaks requests: use a staging server; what is in service is refused. Detection, restart,
    lost requests and leftovers are compared with bars. Every fault is undone, also after Ctrl-C,
    and the instance is ready again at the end.

    Exit codes: 0 every bar was met; 1 a bar was missed; 3 refused (not ready, in use, not
    confirmed), or no scenario is applicable.
    """
    from launcher.drill.run import Options, catalogue, drill, select

    if listing:
        if target is not None:
            raise click.UsageError("--list takes no TARGET: it lists the scenarios.")
        return catalogue()
    if target is None:
        raise click.UsageError("Missing argument 'TARGET'.")
    from launcher.report.files import check_writable, write_reports

    check_writable(junit=junit)
    check_alone(target, "drill")
    options = Options(names, rounds, _read_bars(bars), "in-use" in force)
    scenarios = select(names, options.bars)
    instance = target_instance(target)
    if not yes:
        _confirm(instance.name, len(scenarios) * rounds)
    result = drill(instance, options, _progress(as_json))
    return write_reports(result, junit=junit)


def _read_bars(path: Path | None) -> dict[str, Bar] | None:
    if path is None:
        return None
    from launcher.drill.bars_file import read_bars

    return read_bars(path)


def _confirm(name: str, count: int) -> None:
    if sys.stdin.isatty() and click.confirm(
        f"{count} drills break the service of {name} again and again. Continue?", err=True
    ):
        return
    raise PreconditionError.of(
        "not-confirmed", f"a drill breaks the service of {name}", None,
        "`--yes` says that this is meant",
    )  # fmt: skip


def _progress(as_json: bool) -> OnStep:
    """What tells on stderr which scenario runs and how the last one ended."""
    from launcher.report.drill_text import step

    def on_step(name: str, result: ScenarioResult | None) -> None:
        if not as_json:
            sys.stderr.write(step(name, result))
            sys.stderr.flush()

    return on_step
