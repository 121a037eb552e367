"""The keys of a profile, read from `reference.yaml`, the one place that lists them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REFERENCE = Path(__file__).with_name("reference.yaml")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Key:
    """One key; the fields are explained at the top of `reference.yaml`."""

    name: str
    type: str
    meaning: str
    default: Any = None
    example: Any = None
    elsewhere: Any = None
    values: tuple[str, ...] = ()
    only: str = ""
    keys: Mapping[str, Key] = field(default_factory=dict)

    def belongs(self, engine: str) -> bool:
        """True where profiles of this engine may have the key."""
        return not self.only or (self.only == "hosted") == (engine == "hosted")


@functools.cache
def schema() -> Mapping[str, Key]:
    """Every key at the top of a profile, in the order of the reference."""
    data = yaml.load(REFERENCE.read_text(encoding="utf-8"), _Loader)  # noqa: S506  (a SafeLoader)
    return _keys(data)


def paths(keys: Mapping[str, Key] | None = None, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Every key with its path, mappings before what is in them."""
    for name, key in (schema() if keys is None else keys).items():
        yield f"{prefix}{name}", key
        yield from paths(key.keys, f"{prefix}{name}.") if key.keys else ()


def _keys(data: Mapping[str, Any]) -> dict[str, Key]:
    keys = {}
    for name, data_ in data.items():
        fields = dict(data_)
        fields["values"] = tuple(fields.get("values", ()))
        fields["keys"] = _keys(fields.get("keys", {}))
        keys[name] = Key(name, **fields)
    return keys
