"""The engines, in a plain dict; others join through the entry-point group `ernie_deploy.engines`.

Modules are imported when an engine is asked for, so that `--version` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from launcher.errors import UsageError

if TYPE_CHECKING:
    from launcher.engines.base import Engine

BUILT_IN: dict[str, str] = {
    "fastdeploy": "launcher.engines.fastdeploy",
    "vllm": "launcher.engines.vllm",
    "transformers": "launcher.engines.transformers",
    "hosted": "launcher.engines.hosted",
}
"""Engine name to the module that holds it as `ENGINE`."""

ENTRY_POINT_GROUP = "ernie_deploy.engines"


def names() -> tuple[str, ...]:
    """Every engine that can be named in a profile, ours first."""
    # Imported here: the keeper needs this package and neither module, and counts its megabytes.
    from importlib import metadata

    third_party = {point.name for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}
    return (*BUILT_IN, *sorted(third_party - set(BUILT_IN)))


def get(name: str) -> Engine:
    """The engine called `name`.

    Raises:
        UsageError: no such engine; names the nearest.
    """
    if name in BUILT_IN:
        engine: Engine = importlib.import_module(BUILT_IN[name]).ENGINE
        return engine
    import difflib
    from importlib import metadata

    for point in metadata.entry_points(group=ENTRY_POINT_GROUP, name=name):
        loaded: Engine = point.load()
        return loaded
    near = difflib.get_close_matches(name, names(), n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise UsageError.of(
        "unknown-engine", f"unknown engine {name!r}{meant}", remedy=f"one of: {', '.join(names())}"
    )
