"""The values of JSON as types, and readers of a field without a promised shape.

What a server answers, an interpreter prints or an older version wrote may have any shape. It is
typed as `JsonValue`; a reader takes the one field it needs and gets a neutral value where the
shape is another one. What must have a shape is decoded into a dataclass instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeGuard

JsonValue: TypeAlias = (
    bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
)
"""Anything `json.loads` returns and `json.dumps` takes; also tuples and read-only mappings."""
LARGEST = 10**300
"""Of a whole number: JSON has no bound, and `10**400 + 0.01` is an OverflowError."""
JsonObject: TypeAlias = Mapping[str, JsonValue]
"""An object whose fields are not known."""


def at(value: JsonValue, *path: str | int) -> JsonValue:
    """The value below `path` (keys and indexes); None where there is none."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(value, Mapping) or step not in value:
                return None
            value = value[step]
        else:
            if not is_list(value) or not -len(value) <= step < len(value):
                return None
            value = value[step]
    return value


def is_list(value: JsonValue) -> TypeGuard[Sequence[JsonValue]]:
    """Whether it is a list of JSON (a text is a sequence too, and is none)."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def object_at(value: JsonValue, *path: str | int) -> JsonObject:
    """The object below `path`; empty where there is none."""
    value = at(value, *path)
    return value if isinstance(value, Mapping) else {}


def list_at(value: JsonValue, *path: str | int) -> Sequence[JsonValue]:
    """The list below `path`; empty where there is none."""
    value = at(value, *path)
    return value if is_list(value) else ()


def texts_at(value: JsonValue, *path: str | int) -> tuple[str, ...]:
    """The items of the list below `path`, as texts; empty where the list is missing."""
    return tuple(str(item) for item in list_at(value, *path))


def text_at(value: JsonValue, *path: str | int, default: str = "") -> str:
    """The text below `path`; `default` where there is none."""
    value = at(value, *path)
    return value if isinstance(value, str) else default


def number_at(value: JsonValue, *path: str | int) -> int | float | None:
    """The number below `path`; None where there is none (a bool is none, nor is one too large)."""
    value = at(value, *path)
    return value if isinstance(value, float) else integer_at(value)


def integer_at(value: JsonValue, *path: str | int) -> int | None:
    """The whole number below `path`; None where there is none (a bool is none, nor is one too
    large to be calculated with as a float).
    """
    value = at(value, *path)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST:
        return None
    return value
