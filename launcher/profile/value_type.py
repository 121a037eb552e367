"""What a type of a profile's value is: its name, how it is read, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from launcher.json_values import JsonObject, JsonValue
from launcher.profile.checker import Checker
from launcher.profile.nodes import Node, Scalar
from launcher.profile.schema import Key

Read = Callable[[Checker, Key, str, Node], JsonValue]

VARIABLE: JsonObject = {"type": "string", "pattern": r"\$\{"}
"""In a JSON Schema: text with a `${VARIABLE}` in it, which any value may be."""
WRITTEN: JsonObject = {"type": ["string", "number", "boolean"]}
"""In a JSON Schema: what is text however it is written: `2.10`, `on`, `"2.10"`."""


@dataclass(frozen=True)
class ValueType:
    """One type.

    `read` gets the checker, the key of the schema, its path and the node; it returns plain JSON
    types, or None where something was wrong and has been said. `schema` is the JSON Schema of a
    key of this type, without null.
    """

    name: str
    read: Read
    schema: Callable[[Key], JsonObject]


def scalar_type(name: str, reader: Callable[[Scalar], JsonValue], schema: JsonObject) -> ValueType:
    """A type of which a single scalar says all."""

    def read(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
        return check.scalar(path, node, reader)

    return ValueType(name, read, lambda key: schema)


def value_type(name: str, read: Read, schema: JsonObject) -> ValueType:
    """A type with a reader of its own, and the same JSON Schema for every key."""
    return ValueType(name, read, lambda key: schema)
