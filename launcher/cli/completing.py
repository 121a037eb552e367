"""What the shell offers for the arguments of the verbs: instances, profiles, keys, engines, logs.

A file is offered by saying so, first: the shell then completes paths by itself wherever no name
fits. Nothing here may fail loudly, it would end up in the user's half-typed line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from launcher.cli.targets import has_services
from launcher.errors import DeployError


def profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A file, or a shipped profile by its file name."""
    from launcher import paths

    shipped = sorted(path.name for path in paths.shipped("profiles").glob("*.yaml"))
    return [_files(incomplete), *_fitting(shipped, incomplete)]


def files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Any file."""
    return [_files(incomplete)]


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """An instance or a service, or the file of its profile."""
    return [_files(incomplete), *instances(incomplete), *_fitting(_services(), incomplete)]


def services(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A service, or the file of its profile."""
    return [_files(incomplete), *_fitting(_services(), incomplete)]


def _services() -> list[str]:
    """The names of all services; their room is imported only where there can be one."""
    names: list[str] = []
    with contextlib.suppress(DeployError):
        if has_services():
            from launcher.service.store import every_service

            names = [service.name for service in every_service()]
    return names


def instances(incomplete: str) -> list[CompletionItem]:
    """The instances."""
    from launcher.instance.store import every_instance

    names: list[str] = []
    with contextlib.suppress(DeployError):
        names = [instance.name for instance in every_instance()]
    return _fitting(names, incomplete)


def incidents(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest, or one by its ID."""
    from launcher.instance.store import every_instance
    from launcher.observe.incidents import LAST, incident_ids

    ids: list[str] = []
    with contextlib.suppress(DeployError):
        ids = [LAST, *incident_ids(every_instance())]
    return _fitting(ids, incomplete)


def event_kinds(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The kinds of events; of a list separated by commas the last."""
    from launcher.observe.events import KINDS

    begun, comma, last = incomplete.rpartition(",")
    return _fitting([f"{begun}{comma}{kind}" for kind in KINDS], f"{begun}{comma}{last}")


def sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The logs of the instance that was named before."""
    from launcher.cli.targets import target_instance
    from launcher.instance import logs

    # A line that ends in `--source` is none yet: click leaves its arguments where it found them.
    target = ctx.params.get("target") or next(iter(ctx.args), "")
    candidates: Iterable[str] = ()
    with contextlib.suppress(DeployError):
        candidates = logs.sources(target_instance(target))
    return _fitting(candidates, incomplete)


def engines(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The engines that `engine install` knows."""
    from launcher.environments.recipes import NAMES

    return _fitting(NAMES, incomplete)


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A folder, or a known model by its name or repository; case does not matter."""
    from launcher.preparation.recommendation import model_names

    lower = incomplete.lower()
    fitting = [CompletionItem(name) for name in model_names() if name.lower().startswith(lower)]
    return [_files(incomplete), *fitting]


def gpus(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The GPUs of the table."""
    from launcher.preparation.cards import known_cards

    lower = incomplete.lower()
    return [
        CompletionItem(name, help=entry.card.name)
        for name, entry in known_cards().items()
        if name.startswith(lower)
    ]


def tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Tags of smoke checks."""
    from launcher.smoke.tags import TAGS

    fitting = (name for name in TAGS if name.startswith(incomplete))
    return [CompletionItem(name, help=TAGS[name]) for name in fitting]


def settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The keys of a profile for `--set`, each with the first sentence of its meaning."""
    from launcher.profile.schema import paths

    return [
        CompletionItem(f"{path}=", help=f"{key.meaning.partition('. ')[0].rstrip('.')}.")
        for path, key in paths()
        if path.startswith(incomplete) and not key.keys
    ]


def _files(incomplete: str) -> CompletionItem:
    return CompletionItem(incomplete, type="file")


def _fitting(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
