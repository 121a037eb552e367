"""`ernie-deploy compare A B [C...]`: several targets side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET_OR_URL, examples
from launcher.cli.report_options import FILE, ReportFiles, report_options
from launcher.cli.targets import smoke_target
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.smoke.comparison.payloads import Comparison


@click.command(
    "compare",
    epilog=examples(
        "compare ernie-tiny-cpu http://gpu7:8180 --tag tools",
        "compare ernie-tiny-cpu --save-baseline baseline.json",
        "compare ernie-tiny-cpu http://gpu7:8180 --html compare.html",
        arguments=TARGET_OR_URL,
    ),
)
@click.argument("targets", shell_complete=completing.targets, nargs=-1, required=True)
@click.option("--check", "names", multiple=True, help="Run this check (repeatable).")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    shell_complete=completing.tags,
    help="Run the checks with this tag (repeatable).",
)
@click.option("--model", help="The model to ask URLs for.")
@click.option("--api-key", "key", help="Key of URLs: env:NAME, file:PATH or cmd:COMMAND.")
@click.option("--prompts", type=FILE, help="Prompt set of the tool-call comparison (JSON).")
@click.option("--baseline", type=FILE, help="Stored baseline; worse than it is exit code 1.")
@click.option("--save-baseline", "save", type=FILE, help="Store this run as a baseline.")
@click.option(
    "--gpu-hour",
    type=click.FloatRange(min=0, min_open=True),
    help="Price of one GPU hour: shows the cost per million tokens.",
)
@click.option(
    "--gpus",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs behind a target, for --gpu-hour.",
)
@click.option("--prices", "price_file", type=FILE, help="Price list of hosted models (YAML).")
@report_options
@json_option
@verb
def command(
    targets: tuple[str, ...],
    names: tuple[str, ...],
    tags: tuple[str, ...],
    model: str | None,
    key: str | None,
    prompts: Path | None,
    baseline: Path | None,
    save: Path | None,
    gpu_hour: float | None,
    gpus: int,
    price_file: Path | None,
    reports: ReportFiles,
) -> Result[Comparison]:
    """Run the smoke suite against several TARGETS and show verdicts, speed and tool calls.

    Tool calls are compared with the first target. Exit codes: 0 done, 1 worse than the baseline,
    3 a target could not be checked at all.
    """
    from launcher.smoke.comparison.compare import compare
    from launcher.smoke.targets.resolve import is_url

    reports.check()
    columns = [
        smoke_target(t, model=model if is_url(t) else None, key=key if is_url(t) else None)
        for t in targets
    ]
    result = compare(
        columns,
        names=names,
        tags=tags,
        prompts=prompts,
        baseline=baseline,
        save=save,
        gpu_hour=gpu_hour,
        gpus=gpus,
        price_file=price_file,
    )
    return reports.write(result)
