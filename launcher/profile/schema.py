"""The keys of a profile, read from `reference.yaml`, the one place that lists them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from launcher.json_values import JsonObject, JsonValue, object_at, text_at, texts_at

REFERENCE = Path(__file__).with_name("reference.yaml")
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Key:
    """One key; the fields are explained at the top of `reference.yaml`."""

    name: str
    type: str
    meaning: str
    default: JsonValue = None
    example: JsonValue = None
    elsewhere: JsonValue = None
    values: tuple[str, ...] = ()
    only: str = ""
    flag: str = ""
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


def neutral_keys() -> tuple[str, ...]:
    """Paths of the keys that an engine maps to an option of its own, or refuses."""
    return tuple(path for path, key in paths() if key.flag == "some")


def flag_names() -> frozenset[str]:
    """Keys at the top that engines have as a flag of the same name."""
    return frozenset(name for name, key in schema().items() if key.flag)


def _keys(data: JsonObject) -> dict[str, Key]:
    return {
        name: Key(
            name=name,
            type=text_at(entry, "type"),
            meaning=text_at(entry, "meaning"),
            default=object_at(entry).get("default"),
            example=object_at(entry).get("example"),
            elsewhere=object_at(entry).get("elsewhere"),
            values=texts_at(entry, "values"),
            only=text_at(entry, "only"),
            flag=text_at(entry, "flag"),
            keys=_keys(object_at(entry, "keys")),
        )
        for name, entry in data.items()
    }
