"""What the shell proposes for a word: instances, profiles, engines, tags.

It runs at every press of a key, so it reads nothing but names, and where that fails it proposes
nothing: an error has no place in the middle of a line that is being typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from launcher.errors import DeployError

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def target(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of instances, and profiles."""
    return [*_matching(_instances(), begun), *profile(ctx, param, begun)]


def profile(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Profiles' paths: the shell completes files itself."""
    return [CompletionItem(begun, type="file")]


def profile_name(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """The file names of the profiles that ship, and paths."""
    from launcher import paths

    names = (path.name for path in paths.shipped("profiles").glob("*.yaml"))
    return [*_matching(names, begun), *profile(ctx, param, begun)]


def engine(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of engines."""
    from launcher.environments.recipes import NAMES

    return _matching(NAMES, begun)


def tag(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Tags of smoke checks."""
    from launcher.smoke.check import TAGS

    return [CompletionItem(name, help=means) for name, means in TAGS.items()
            if name.startswith(begun)]  # fmt: skip


def _instances() -> list[str]:
    from launcher.instance.store import every_instance

    try:
        return [found.name for found in every_instance()]
    except DeployError:
        return []


def _matching(names: Iterable[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(names) if name.startswith(begun)]
