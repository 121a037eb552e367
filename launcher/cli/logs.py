"""`ernie-deploy logs TARGET`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import target_instance
from launcher.cli.verb import json_option, verb
from launcher.plain import plain
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.logs import Logs


@click.command(
    "logs",
    epilog=examples(
        "logs ernie-tiny-cpu -f",
        "logs ernie-tiny-cpu --sources",
        "logs ernie-tiny-cpu --source workerlog.0 -n 100",
        arguments=TARGET,
    ),
)
@click.argument("target", shell_complete=completing.targets)
@click.option("-f", "--follow", is_flag=True, help="Go on until the instance has ended.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Only the last N lines.")
@click.option(
    "--source",
    default="engine",
    show_default=True,
    shell_complete=completing.sources,
    help="engine, keeper, events, or a file's name.",
)
@click.option("--sources", "list_sources", is_flag=True, help="List what there is to show.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written (UTC).")
@json_option
@verb
def command(
    target: str,
    follow: bool,
    lines: int | None,
    source: str,
    list_sources: bool,
    timestamps: bool,
    as_json: bool,
) -> Result[Logs]:
    """Show TARGET's logs, with secrets taken out.

    --json prints one object with the lines in `text`; with -f an object a line, the last as usual.
    """
    from launcher.instance import logs
    from launcher.report import emit_line

    instance = target_instance(target)
    if list_sources:
        named = {name: str(path) for name, path in logs.sources(instance).items()}
        if not as_json:
            sys.stdout.writelines(plain(f"{name:32} {path}") + "\n" for name, path in named.items())
        return Result("logs", logs.Logs(sources=named), instance.name)

    redactor = logs.redactor(instance)
    if follow:
        line_count = 0

        def show(line: str) -> None:
            nonlocal line_count
            line_count += 1
            if as_json:
                emit_line({"event": "line", "source": source, "text": line})
            else:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()

        last = 10 if lines is None else lines
        logs.follow(instance, source, last=last, times=timestamps, redactor=redactor, show=show)
        return Result("logs", logs.Logs(source, line_count), instance.name)
    text = logs.lines(instance, source, last=lines, times=timestamps, redactor=redactor)
    if as_json:
        collected = tuple(text)
        return Result("logs", logs.Logs(source, len(collected), collected), instance.name)
    sys.stdout.writelines(line + "\n" for line in text)
    return Result("logs", logs.Logs(source), instance.name)
