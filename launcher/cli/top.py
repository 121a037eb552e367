"""`ernie-deploy top [TARGET...]`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import duration, target_instance
from launcher.cli.targets import has_services, target_service
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.store import InstanceDir
    from launcher.observe.overview import Overview
    from launcher.service.overview import ServiceLoad
    from launcher.service.store import ServiceDir

SORTS = ("state", "name", "queue", "tokens", "ttft", "kv", "gpu", "restarts", "age")
ONCE = 0.5
"""Seconds in which a server has to tell its figures to `--once`."""


@click.command(
    "top",
    epilog=examples(
        "top",
        "top --sort tokens --interval 5s",
        "top --once",
        "top ernie-tiny-cpu --once --json",
        arguments=TARGET,
    ),
)
@click.argument("targets", nargs=-1, shell_complete=completing.targets, metavar="[TARGET]...")
@click.option("--once", is_flag=True, help="Print the table once, as plain text for scripts.")
@click.option(
    "--sort", type=click.Choice(SORTS), default="state", show_default=True,
    help="state: problems first. Figures: the largest first. age: the newest first.",
)  # fmt: skip
@click.option(
    "--interval", callback=duration, default="2s", show_default=True, metavar="DURATION",
    help="Time between two looks.",
)  # fmt: skip
@json_option
@verb
def command(
    targets: tuple[str, ...], once: bool, sort: str, interval: float, as_json: bool
) -> Result[Overview]:
    """Watch all instances, or each TARGET: state, queue, tokens/s, memory, restarts.

    Of services also what their front door counts: requests, errors, latency, by replica.

    Keys of the live view: q quit, s and r sort, l logs, e events, ? help. It needs
    `pip install 'ernie-deploy[top]'`; --once does not. With --json, or where the output is no
    terminal, the table is printed once.
    """
    from launcher.instance.store import every_instance

    names = tuple(dict.fromkeys(targets))

    def choose() -> list[InstanceDir]:
        if not names:
            return every_instance()
        chosen = [instance for one in names for instance in _instances(one)]
        return list({instance.name: instance for instance in chosen}.values())

    chosen = choose()
    if once or as_json or not sys.stdout.isatty():
        return _once(chosen, _services(names), sort)
    _check_textual()
    from launcher.report.top_view import run

    run(choose, sort, interval, _service_lines(names))
    return Result("top")


def _instances(target: str) -> list[InstanceDir]:
    """The instance that a TARGET is, or those of a service."""
    service = target_service(target)
    if service is None:
        return [target_instance(target)]
    from launcher.service.instances import current_instances

    return current_instances(service)


def _services(targets: tuple[str, ...]) -> list[ServiceDir]:
    """The services among the targets, or all where nothing is named."""
    if not has_services():
        return []
    if not targets:
        from launcher.service.store import every_service

        return every_service()
    return [service for one in targets if (service := target_service(one)) is not None]


def _service_lines(targets: tuple[str, ...]) -> Callable[[], list[str]] | None:
    """What the live view shows of services, read anew at each look."""
    if not _services(targets):
        return None
    from launcher.report.service_text import load_lines
    from launcher.service.overview import ServiceObserver

    observer = ServiceObserver()
    return lambda: load_lines(observer.look(_services(targets)))


def _check_textual() -> None:
    """The extra has to be there.

    Raises:
        PreconditionError: it is not, or is too old to be used.
    """
    from launcher.errors import PreconditionError

    try:
        import textual  # noqa: F401
    except ImportError as error:
        raise PreconditionError.of(
            "missing-textual", f"the live view needs textual ({error})", None,
            "`pip install 'ernie-deploy[top]'`, or `ernie-deploy top --once`",
        ) from None  # fmt: skip


def _once(instances: list[InstanceDir], services: list[ServiceDir], sort: str) -> Result[Overview]:
    from launcher.observe.overview import Observer, Overview, ordered

    began = time.monotonic()
    loads = _loads(services)
    rows = tuple(ordered(Observer().look(instances, ONCE, once=True), sort))
    name = instances[0].name if len(instances) == 1 else None
    if loads is None:
        return Result("top", Overview(rows, sort, round(time.monotonic() - began, 3)), name)
    from launcher.service.overview import OverviewWithServices

    time.sleep(max(0.0, began + ONCE - time.monotonic()))  # rates need some time between
    processes = tuple(loads())
    seconds = round(time.monotonic() - began, 3)
    data = OverviewWithServices(rows, sort, seconds, processes)
    return Result("top", data, services[0].name if len(services) == 1 else None)


def _loads(services: list[ServiceDir]) -> Callable[[], list[ServiceLoad]] | None:
    """The second look at the services, whose rates are those since this one."""
    if not services:
        return None
    from launcher.service.overview import ServiceObserver

    observer = ServiceObserver()
    observer.look(services)
    return lambda: observer.look(services)
