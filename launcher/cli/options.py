"""Options that several verbs share, and how a TARGET is understood."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher.cli import completing

if TYPE_CHECKING:
    from launcher.errors import DeployError
    from launcher.instance.store import InstanceDir
    from launcher.profile.model import Profile

Function = TypeVar("Function", bound=Callable[..., Any])


def profile_options(function: Function) -> Function:
    """`--overlay`, `--set` and `--name`."""
    for option in (
        click.option("--name", help="Name of the instance, instead of the profile's."),
        click.option(
            "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set a key; VALUE is YAML."
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


def load_profile(
    path: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    version: str | None = None,
    *,
    resolved: bool = False,
) -> Profile:
    """The profile as given on the command line; `version` of the engine is judged for.

    With `resolved`, `path` is an instance's own.

    Raises:
        ProfileError: with every problem, those that only the engine knows of included.
    """
    from launcher import profile
    from launcher.errors import DeployError

    wrong: DeployError | None = None
    try:
        found = profile.load(path, overlays=overlays, sets=sets, name=name, resolved=resolved)
    except DeployError as error:
        wrong, found = error, error.partial
    if found is not None and found.smoke:
        # The profile's room knows no checks; it takes a moment, so only where there is a section.
        from launcher.smoke.rules import with_section

        wrong = with_section(wrong, found)
    if wrong is not None:
        from launcher.environments.judge import completed

        raise completed(wrong, version)
    if not os.path.exists(os.path.expanduser(path)):
        click.echo(f"the profile is {found.path}, which ships with ernie-deploy", err=True)
    return found


def words_of(
    path: str, overlays: tuple[str, ...], sets: tuple[str, ...], name: str | None
) -> list[str]:
    """The words that ask for the same profile again."""
    given = [("--overlay", one) for one in overlays] + [("--set", one) for one in sets]
    given += [("--name", name)] if name is not None else []
    return [path, *(word for pair in given for word in pair)]


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The seconds of an option that takes what profiles take: 30, 90s, 5m."""
    from launcher.profile.types import ScalarError, seconds

    try:
        return None if value is None else seconds(value)
    except ScalarError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def is_profile(target: str) -> bool:
    """True where a TARGET names a profile's file rather than an instance."""
    return "/" in target or target.endswith((".yaml", ".yml"))


def target_instance(target: str, *, must_exist: bool = True) -> InstanceDir:
    """The instance that a profile or a name stands for.

    Raises:
        UsageError: it does not exist although it must.
        PreconditionError: its state may not be read.
        ProfileError: the profile cannot be read.
    """
    from launcher.instance.store import check_readable, instance, open_instance

    name = target
    if is_profile(target):
        # Only the name is needed: `down` must work although a variable is unset by now.
        from launcher.profile import instance_name

        name = instance_name(target)
    if must_exist:
        return open_instance(name)
    found = instance(name)
    check_readable(found)
    return found
