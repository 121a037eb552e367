"""`ernie-deploy top [TARGET...]`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from launcher.cli import completing
from launcher.cli.examples import TARGET, examples
from launcher.cli.options import duration, target_instance
from launcher.cli.verb import json_option, verb
from launcher.result import Result

if TYPE_CHECKING:
    from launcher.instance.store import InstanceDir
    from launcher.observe.overview import Overview

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

    Keys of the live view: q quit, s and r sort, l logs, e events, ? help. It needs
    `pip install 'ernie-deploy[top]'`; --once does not. With --json, or where the output is no
    terminal, the table is printed once.
    """
    from launcher.instance.store import every_instance

    def choose() -> list[InstanceDir]:
        return [target_instance(one) for one in dict.fromkeys(targets)] or every_instance()

    chosen = choose()
    if once or as_json or not sys.stdout.isatty():
        return _once(chosen, sort)
    _check_textual()
    from launcher.report.top_view import run

    run(choose, sort, interval)
    return Result("top")


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


def _once(instances: list[InstanceDir], sort: str) -> Result[Overview]:
    from launcher.observe.overview import Observer, Overview, ordered

    began = time.monotonic()
    rows = Observer().look(instances, ONCE, once=True)
    data = Overview(tuple(ordered(rows, sort)), sort, round(time.monotonic() - began, 3))
    name = instances[0].name if len(instances) == 1 else None
    return Result("top", data, name)
