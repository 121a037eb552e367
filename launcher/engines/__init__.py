"""The engines, in a plain dict; others join through the entry-point group `ernie_deploy.engines`.

Modules are imported when an engine is asked for, so that `--version` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.nearest import did_you_mean

if TYPE_CHECKING:
    from launcher.engines.base import Engine
    from launcher.engines.rules import RuleBook

BUILT_IN: dict[str, str] = {
    "fastdeploy": "launcher.engines.fastdeploy",
    "vllm": "launcher.engines.vllm",
    "transformers": "launcher.engines.transformers",
    "hosted": "launcher.engines.hosted",
}
"""Engine name to the module that holds it as `ENGINE`."""

DEFAULT = "fastdeploy"
"""The product's own engine: that of a new profile, and the first of lists."""

ENTRY_POINT_GROUP = "ernie_deploy.engines"


def names() -> tuple[str, ...]:
    """Every engine that can be named in a profile, ours first."""
    # Imported here: the keeper needs this package and neither module, and counts its megabytes.
    from importlib import metadata

    third_party = {point.name for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}
    return (*BUILT_IN, *sorted(third_party - set(BUILT_IN)))


def every() -> tuple[Engine, ...]:
    """Every engine there is, ours first."""
    return tuple(get(name) for name in names())


def rule_books() -> tuple[RuleBook, ...]:
    """The failure rules of every engine that has some, and those of any process last."""
    from launcher.engines import rules

    books = (rules.book_of(engine.name, engine.data) for engine in every())
    return (*(book for book in books if book.entries), rules.book(rules.COMMON))


def get(name: str) -> Engine:
    """The engine called `name`.

    Raises:
        UsageError: no such engine; names the nearest.
    """
    if name in BUILT_IN:
        engine: Engine = importlib.import_module(BUILT_IN[name]).ENGINE
        return engine
    from importlib import metadata

    for point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded: Engine = point.load()
        return loaded
    meant = did_you_mean(name, names())
    raise UsageError.of(
        "unknown-engine", f"unknown engine {name!r}{meant}", remedy=f"one of: {', '.join(names())}"
    )
