"""`ernie-deploy events TARGET`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import duration
from launcher.cli.targets import readable_instance, target_service
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.json_values import JsonObject
    from launcher.observe.events import ShownEvents

LAST = 10
"""Events of before that are shown with -f, as `logs -f` does."""


@click.command(
    "events",
    epilog=examples(
        "events ernie-tiny-cpu",
        "events ernie-tiny-cpu -f",
        "events ernie-tiny-cpu --since 10m --kind liveness,restart,failure",
        arguments=TARGET,
    ),
)
@click.argument("target", shell_complete=completing.targets)
@click.option(
    "-f", "--follow", is_flag=True,
    help="Go on until Ctrl-C (exit code 130), also over `down` and a new `up`.",
)  # fmt: skip
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Only the last N events.")
@click.option(
    "--since", callback=duration, metavar="DURATION", help="Only what is newer: 90s, 10m, 2h."
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    shell_complete=completing.event_kinds,
    help="Only events of this kind; repeat it, or separate kinds by commas.",
)
@json_option
@verb
def command(
    target: str,
    follow: bool,
    lines: int | None,
    since: float | None,
    kinds: tuple[str, ...],
    as_json: bool,
) -> Result[ShownEvents]:
    """Show what happened to TARGET: states, phases, failures, verdicts, restarts.

    One line an event, oldest first, times in UTC; the run before is included. Of a service the
    events of all its instances, those that were replaced too, and its rollouts. --json prints each
    event as an object of its own, and the usual object last.
    """
    from launcher.instance import logs
    from launcher.observe import events

    if follow and lines is None and since is None:
        lines = LAST
    service = target_service(target)
    if service is not None:
        from launcher.service import events as of_service

        selection = of_service.select_events(service, since, kinds, lines)
        history = (
            of_service.follow_events(service, selection, _descriptors())
            if follow
            else iter(of_service.read_events(service, selection))
        )
        count = _show(history, as_json, follow, labelled=True)
        data = events.ShownEvents(count, selection.since, selection.kinds)
        return Result("events", data, service.name)
    instance = readable_instance(target)
    selection = events.select(instance, since, kinds, lines)
    redactor = logs.redactor(instance)
    if follow:
        chosen_events = events.follow(instance, selection, redactor, wake=_descriptors())
    else:
        chosen_events = iter(events.read(instance, selection, redactor))
    count = _show(chosen_events, as_json, follow)
    data = events.ShownEvents(count, selection.since, selection.kinds)
    return Result("events", data, instance.name)


def _show(
    chosen_events: Iterator[JsonObject], as_json: bool, follow: bool, *, labelled: bool = False
) -> int:
    """Print each event as it comes; returns how many they were."""
    from launcher.report import emit_line
    from launcher.report.events_text import event_line

    line_of = event_line(labelled=labelled)
    count = 0
    for event in chosen_events:
        count += 1
        if as_json:
            emit_line(event)
        else:
            sys.stdout.write(line_of(event) + "\n")
            if follow:
                sys.stdout.flush()
    return count


def _descriptors() -> tuple[int, ...]:
    """The descriptor of stdout, so that the end of its reader is seen at once."""
    try:
        return (sys.stdout.fileno(),)
    except (OSError, ValueError):
        return ()
