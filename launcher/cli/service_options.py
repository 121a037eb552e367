"""What the verbs that change a service share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar, cast

import click

from launcher.cli.targets import is_profile

if TYPE_CHECKING:
    from launcher.profile.service import Strategy
    from launcher.service.deploy import Request

Function = TypeVar("Function", bound=Callable[..., object])

LONGEST_MESSAGE = 400
"""Characters of a message: it stands in one line of the history."""


def _message(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if len(value) > LONGEST_MESSAGE or not value.isprintable():
        raise click.BadParameter(f"at most {LONGEST_MESSAGE} printable characters", ctx, param)
    return value


def message_option(function: Function) -> Function:
    """`--message`."""
    return click.option(
        "-m", "--message", default="", callback=_message,
        help="Why, for the history and for those who are locked out meanwhile.",
    )(function)  # fmt: skip


def change_options(function: Function) -> Function:
    """`--message` and `--force`."""
    force = click.option(
        "--force", multiple=True, metavar="CHECK", help="Start although this doctor check fails."
    )
    return message_option(force(function))


@contextlib.contextmanager
def changing(
    as_json: bool, message: str, force: tuple[str, ...], strategy: str | None = None, *,
    dry_run: bool = False,
) -> Iterator[Request]:  # fmt: skip
    """How a change is asked for on this command line, its events shown while the block runs."""
    from launcher.doctor.preflight import preflight
    from launcher.report import emit_line
    from launcher.report.rollout_text import RolloutLines
    from launcher.service.deploy import Request

    yield Request(
        on_event=emit_line if as_json else RolloutLines(sys.stderr),
        preflight=lambda prepared, keeper: preflight(prepared, force, keeper),
        message=message,
        strategy=cast("Strategy | None", strategy),
        dry_run=dry_run,
    )


def service_name(target: str, name: str | None = None) -> str:
    """The name of the service that a TARGET stands for: its own, or its profile's.

    Raises:
        ProfileError: the profile has no name.
    """
    if not is_profile(target):
        return target
    from launcher.profile import instance_name

    return instance_name(target, name)
