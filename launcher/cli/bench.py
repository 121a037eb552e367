"""`ernie-deploy bench TARGET | compare A B | tune PROFILE`: how fast a server is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.bench_options import (
    LoadOptions,
    MoneyOptions,
    load_options,
    money_options,
    progress,
    read_slo,
    read_subject,
)
from launcher.cli.bench_tune import command as tune
from launcher.cli.examples import TARGET_OR_URL, examples
from launcher.cli.report_options import FILE, ReportFiles, report_options
from launcher.cli.verb import VerbGroup, json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.bench.result import BenchComparison, BenchRun

RUN = "run"


class _BenchGroup(VerbGroup):
    """Without `compare` or `tune`, the words are those of `run`."""

    default = RUN

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


@click.group(
    "bench",
    cls=_BenchGroup,
    epilog=examples(
        "bench ernie-thinking --scenario chat --html bench.html",
        "bench ernie-thinking --baseline last-week.json --junit bench.xml",
        "bench compare ernie-new ernie-old --concurrency 8 --repetitions 6",
        arguments=TARGET_OR_URL,
    ),
)
def command() -> None:
    """Measure how fast a server is: latencies, throughput, goodput, with their confidence.

    `bench TARGET` is short for `bench run TARGET`. The load comes from an existing generator in an
    environment of its own: `ernie-deploy engine install bench`.
    """


@command.command(
    RUN,
    epilog=examples(
        "bench run ernie-tiny-cpu --concurrency 1,2,4 --requests 20",
        "bench run http://gpu7:8180 --scenario arrivals --rate 1,2,4 --output run.json",
        "bench run ernie-thinking --baseline run.json --tolerance 10",
        arguments=TARGET_OR_URL,
    ),
)
@click.argument("target", shell_complete=completing.targets)
@load_options
@click.option("--baseline", type=FILE, help="A result of --output; worse than it is exit code 1.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1000),
    default=5.0,
    show_default=True,
    metavar="PERCENT",
    help="A change against the baseline that is never a regression.",
)
@click.option("--output", type=FILE, help="Write the result as JSON, for --baseline and `report`.")
@click.option("--csv", type=FILE, help="Write the figures as CSV to this file.")
@money_options
@report_options
@json_option
@verb
def run(
    target: str,
    load: LoadOptions,
    baseline: Path | None,
    tolerance: float,
    output: Path | None,
    csv: Path | None,
    money: MoneyOptions,
    reports: ReportFiles,
    as_json: bool,
) -> Result[BenchRun]:
    """Measure TARGET at rising load and hold it to its objectives (`slo:` in the profile).

    Exit codes: 0 measured, and every gate was met; 1 an objective was missed, or a figure is worse
    than the baseline by more than the noise; 3 it could not be measured, or a verdict is refused
    because the machine of the load generator was too busy.
    """
    from launcher.bench.verbs import Gating, bench
    from launcher.report.files import check_writable, write_reports

    reports.check()
    check_writable(output=output, csv=csv)
    chosen, path = load.read()
    prices = money.read()
    subject = read_subject(target, load.model, load.key)
    slo, where = read_slo(target, subject)
    result = bench(
        subject, chosen, path, Gating(slo, where, baseline, tolerance / 100), money=prices,
        output=output, on_step=progress(as_json),
    )  # fmt: skip
    return write_reports(reports.write(result), csv=csv)


@command.command(
    epilog=examples(
        "bench compare ernie-vllm ernie-transformers --concurrency 1,4",
        "bench compare http://127.0.0.1:8180 http://127.0.0.1:8280 --html compare.html",
        arguments=TARGET_OR_URL,
    ),
)
@click.argument("a", shell_complete=completing.targets)
@click.argument("b", shell_complete=completing.targets)
@load_options
@click.option("--output", type=FILE, help="Write the comparison as JSON to this file.")
@click.option("--csv", type=FILE, help="Write the figures as CSV to this file.")
@money_options
@report_options
@json_option
@verb
def compare(
    a: str,
    b: str,
    load: LoadOptions,
    output: Path | None,
    csv: Path | None,
    money: MoneyOptions,
    reports: ReportFiles,
    as_json: bool,
) -> Result[BenchComparison]:
    """Measure A and B in turns, and say where they differ by more than the noise.

    Both may be engines, releases or settings of one model. Exit codes: 0 compared; 3 one of them
    could not be measured, or the machine of the load generator was too busy for a verdict.
    """
    from launcher.bench.verbs import bench_compare
    from launcher.report.files import check_writable, write_reports

    reports.check()
    check_writable(output=output, csv=csv)
    chosen, path = load.read()
    prices = money.read()
    subjects = [read_subject(one, *_of_urls(one, load.model, load.key)) for one in (a, b)]
    result = bench_compare(
        subjects[0], subjects[1], chosen, path, money=prices, output=output,
        on_step=progress(as_json),
    )  # fmt: skip
    return write_reports(reports.write(result), csv=csv)


def _of_urls(target: str, model: str | None, key: str | None) -> tuple[str | None, str | None]:
    """`--model` and `--api-key`, which are about URLs only."""
    return (model, key) if "://" in target else (None, None)


command.add_command(tune)
