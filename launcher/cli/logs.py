"""`ernie-deploy logs TARGET`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.targets import readable_instance, target_service
from launcher.cli.verb import json_option, verb
from launcher.plain import plain
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.logs import Logs
    from launcher.service.store import ServiceDir

LAST = 10
"""Lines of before that are shown with -f."""


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

    Of a service the lines of its replicas and of its front door, each behind the instance's name;
    -n counts the lines of each, and -f goes on over rollouts. --json prints one object with the
    lines in `text`; with -f an object a line, the last as usual.
    """
    from launcher.instance import logs

    service = target_service(target)
    if service is not None:
        return _of_service(service, follow, lines, source, list_sources, timestamps, as_json)
    instance = readable_instance(target)
    if list_sources:
        named = {name: str(path) for name, path in logs.sources(instance).items()}
        return _listing(named, instance.name, as_json)
    redactor = logs.redactor(instance)
    if follow:
        printer = _LinePrinter(source, as_json)
        last = LAST if lines is None else lines
        logs.follow(instance, source, last=last, times=timestamps, redactor=redactor, show=printer)
        return Result("logs", logs.Logs(source, printer.count), instance.name)
    text = logs.lines(instance, source, last=lines, times=timestamps, redactor=redactor)
    return _written(text, source, instance.name, as_json)


def _of_service(
    service: ServiceDir,
    follow: bool,
    lines: int | None,
    source: str,
    list_sources: bool,
    timestamps: bool,
    as_json: bool,
) -> Result[Logs]:
    from launcher.instance.logs import Logs
    from launcher.service.logs import LogChoice, follow_lines, read_lines, source_files

    if list_sources:
        return _listing(source_files(service), service.name, as_json)
    if follow:
        printer = _LinePrinter(source, as_json)
        choice = LogChoice(source, LAST if lines is None else lines, timestamps)
        follow_lines(service, choice, printer)
        return Result("logs", Logs(source, printer.count), service.name)
    text = read_lines(service, LogChoice(source, lines, timestamps))
    return _written(text, source, service.name, as_json)


class _LinePrinter:
    """Shows each line as it comes, and counts them."""

    def __init__(self, source: str, as_json: bool) -> None:
        self._source, self._as_json = source, as_json
        self.count = 0

    def __call__(self, line: str) -> None:
        from launcher.report import emit_line

        self.count += 1
        if self._as_json:
            emit_line({"event": "line", "source": self._source, "text": line})
        else:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _listing(named: Mapping[str, str], name: str, as_json: bool) -> Result[Logs]:
    from launcher.instance.logs import Logs

    if not as_json:
        sys.stdout.writelines(plain(f"{one:32} {path}") + "\n" for one, path in named.items())
    return Result("logs", Logs(sources=named), name)


def _written(text: Iterable[str], source: str, name: str, as_json: bool) -> Result[Logs]:
    from launcher.instance.logs import Logs

    if as_json:
        collected = tuple(text)
        return Result("logs", Logs(source, len(collected), collected), name)
    sys.stdout.writelines(line + "\n" for line in text)
    return Result("logs", Logs(source), name)
