"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from launcher.cli import completing
from launcher.cli.targets import is_profile, load_profile, target_instance

__all__ = [
    "EngineName",
    "duration",
    "is_profile",
    "load_profile",
    "profile_options",
    "target_instance",
    "words_of",
]


class EngineName(click.ParamType[str]):
    """The name of an engine; which there are is asked when one is given, not when `cli` starts."""

    name = "engine"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name.

        Raises:
            UsageError: no engine is called so; names the nearest.
        """
        from launcher.environments.catalogue import engine_named

        return engine_named(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The engines whose name begins so."""
        return completing.engines(ctx, param, incomplete)


Function = TypeVar("Function", bound=Callable[..., object])


def profile_options(function: Function) -> Function:
    """`--overlay`, `--set` and `--name`."""
    for option in (
        click.option("--name", help="Name of the instance, instead of the profile's."),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set a key; VALUE is YAML.",
            shell_complete=completing.settings,
        ),
        click.option(
            "--overlay",
            "overlays",
            multiple=True,
            metavar="FILE",
            help="Merge this file over it.",
            shell_complete=completing.files,
        ),
    ):
        function = option(function)
    return function


def words_of(
    path: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    force: tuple[str, ...] = (),
) -> list[str]:
    """The words that ask for the same profile again."""
    pairs = [("--overlay", one) for one in overlays] + [("--set", one) for one in sets]
    pairs += [("--name", name)] if name is not None else []
    pairs += [("--force", one) for one in force]
    return [path, *(word for pair in pairs for word in pair)]


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The seconds of an option that takes what profiles take: 30, 90s, 5m."""
    from launcher.profile.scalars import ScalarError, seconds

    try:
        return None if value is None else seconds(value)
    except ScalarError as error:
        raise click.BadParameter(str(error), ctx, param) from None
