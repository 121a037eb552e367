"""The engines, in a plain dict; others join through the entry-point group `ernie_deploy.engines`.

Modules are imported when an engine is asked for, so that `--version` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from launcher.errors import DeployError, PreconditionError, UsageError
from launcher.nearest import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from launcher.engines.base import Engine
    from launcher.engines.rules import RuleBook

BUILT_IN: dict[str, str] = {
    "fastdeploy": "launcher.engines.fastdeploy",
    "vllm": "launcher.engines.vllm",
    "transformers": "launcher.engines.transformers",
    "hosted": "launcher.engines.hosted",
}
"""Engine name to the module that holds it as `ENGINE`."""

INTERNAL: dict[str, str] = {
    "haproxy": "launcher.engines.haproxy",
    "gateway": "launcher.engines.gateway",
    "fastdeploy-router": "launcher.engines.fastdeploy_router",
}
"""The same of engines that we run ourselves: `get` has them, lists and profiles do not."""

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
    """Every engine that can be used, ours first.

    A broken one of a third party is left out: a profile that names it is told what is wrong with
    it (`get`), and a command about another engine goes on.
    """
    engines = []
    for name in names():
        try:
            engines.append(get(name))
        except PreconditionError:
            continue
    return tuple(engines)


def rule_books() -> tuple[RuleBook, ...]:
    """The failure rules of every engine that has some, and those of any process last."""
    from launcher.engines import rules

    every_engine = (*every(), *map(get, INTERNAL))
    books = (rules.book_of(engine.name, engine.data) for engine in every_engine)
    return (*(book for book in books if book.entries), rules.book(rules.COMMON))


def get(name: str) -> Engine:
    """The engine called `name`.

    Raises:
        UsageError: no such engine; names the nearest.
        PreconditionError: a third party's engine cannot be imported, or lacks members of the
            Protocol.
    """
    module = {**BUILT_IN, **INTERNAL}.get(name)
    if module is not None:
        engine: Engine = importlib.import_module(module).ENGINE
        return engine
    from importlib import metadata

    for point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        return _loaded(name, point)
    meant = did_you_mean(name, names())
    raise UsageError.of(
        "unknown-engine", f"unknown engine {name!r}{meant}", remedy=f"one of: {', '.join(names())}"
    )


def _loaded(name: str, point: EntryPoint) -> Engine:
    """A third party's engine."""
    from launcher.engines.base import Engine

    try:
        engine: Engine = point.load()
    except Exception as error:
        raise _broken(name, point, f"its import fails: {error!r}") from error
    members = (m for m in {**Engine.__annotations__, **vars(Engine)} if not m.startswith("_"))
    lacking = sorted(member for member in members if not hasattr(engine, member))
    if lacking:
        raise _broken(name, point, f"it has no {', '.join(lacking)}")
    return engine


def _broken(name: str, point: EntryPoint, why: str) -> DeployError:
    return PreconditionError.of(
        "broken-engine", f"the engine {name!r} ({point.value}) cannot be used: {why}",
        remedy="update or remove its package; docs/engines.md lists what an engine has",
    )  # fmt: skip
