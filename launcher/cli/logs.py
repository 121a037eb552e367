"""`ernie-deploy logs TARGET`."""

from __future__ import annotations

import sys

import click

from launcher.cli import completing
from launcher.cli.options import target_instance
from launcher.cli.verb import json_option, verb
from launcher.result import Result


@click.command("logs")
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
) -> Result:
    """Show TARGET's logs, with secrets taken out."""
    from launcher.instance import logs
    from launcher.report import emit_line

    found = target_instance(target)
    if list_sources:
        named = {name: str(path) for name, path in logs.sources(found).items()}
        if not as_json:
            sys.stdout.writelines(f"{name:32} {path}\n" for name, path in named.items())
        return Result("logs", {"sources": named}, found.name)

    def show(line: str) -> None:
        if as_json:
            emit_line({"event": "line", "source": source, "text": line})
        else:
            sys.stdout.write(line + "\n")
            if follow:
                sys.stdout.flush()

    redactor = logs.redactor(found)
    shown = 0
    if follow:
        last = 10 if lines is None else lines
        logs.follow(found, source, last=last, times=timestamps, redactor=redactor, show=show)
    else:
        for line in logs.lines(found, source, last=lines, times=timestamps, redactor=redactor):
            show(line)
            shown += 1
    return Result("logs", {"source": source, "lines": shown}, found.name)
