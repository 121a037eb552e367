"""Reads a profile: schema, overlays, variables, and where every value came from.

`load` is the way in. `reference.yaml` lists the keys; `layers` joins files into one tree of
`nodes`; `variables` puts the environment in; `set_option` lays options over it; `types` reads the
tree by the `schema`, with one object for each type; `combine` looks at keys together; `build` makes
the `Profile`; `loader` does it all in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.profile.loader import instance_name, load

__all__ = ["instance_name", "load"]


def __getattr__(name: str) -> object:
    # The keeper imports this package for its values and must not carry a YAML parser for months.
    if name in __all__:
        from launcher.profile import loader

        return getattr(loader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
