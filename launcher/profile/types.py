"""The types of a profile's values, by name: one object each, with its reader and JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.json_values import JsonObject, JsonValue, is_list
from launcher.profile import nodes
from launcher.profile.checker import Checker
from launcher.profile.collection_types import COLLECTIONS
from launcher.profile.nodes import Node, Scalar
from launcher.profile.notify_type import NOTIFY
from launcher.profile.scalar_types import SCALARS
from launcher.profile.schema import Key, schema
from launcher.profile.service_types import SERVICE_TYPES
from launcher.profile.unknown_keys import say_misplaced, say_unknown
from launcher.profile.value_type import ValueType, value_type


def read(tree: nodes.Mapping) -> Checker:
    """Everything that the schema says of a tree: values, their places, and what is wrong."""
    check = Checker()
    engine = tree.entries.get("engine")
    if engine and isinstance(engine.value, Scalar):
        check.engine = engine.value.text.strip()
    check.values = _mapping(check, tree, schema(), "")
    return check


def property_of(key: Key) -> JsonObject:
    """The JSON Schema of a key, with what editors show."""
    property_schema: dict[str, JsonValue] = {"description": key.meaning}
    if key.default is not None:
        property_schema["default"] = key.default
    example = key.example if key.example is not None else key.elsewhere
    if example is not None:
        property_schema["examples"] = [example]
    return {**property_schema, **_nullable(TYPES[key.type].schema(key))}


def _mapping(
    check: Checker, node: nodes.Mapping, keys: Mapping[str, Key], path: str
) -> dict[str, JsonValue]:
    """The values of a mapping whose keys the schema knows."""
    values: dict[str, JsonValue] = {}
    for name, here, entry in check.entries(node, path):
        key = keys.get(name)
        if key is None:
            del check.origins[here]
            say_unknown(check, name, here, keys, entry.origin)
        elif not key.belongs(check.engine):
            say_misplaced(check, key, here, entry.origin)
        else:
            value = TYPES[key.type].read(check, key, here, entry.value)
            if value is not None:
                values[name] = value
    return values


def _map(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    if not isinstance(node, nodes.Mapping):
        first = next(iter(key.keys))
        check.no_map(path, node, f"{path}: {{{first}: {key.keys[first].example}}}")
        return None
    return _mapping(check, node, key.keys, path)


def _map_schema(key: Key) -> JsonObject:
    properties = {name: property_of(inner) for name, inner in key.keys.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _files(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    """Nothing: `extends` was followed when the files were read (`launcher.profile.layers`)."""
    return None


def _nullable(value_schema: JsonObject) -> JsonObject:
    if not value_schema:
        return {}
    either = value_schema.get("anyOf")
    if is_list(either):
        return {**value_schema, "anyOf": [*either, {"type": "null"}]}
    kinds = value_schema["type"]
    return {**value_schema, "type": [*(kinds if is_list(kinds) else [kinds]), "null"]}


TYPES: Mapping[str, ValueType] = {
    entry.name: entry
    for entry in (
        *SCALARS,
        *COLLECTIONS,
        NOTIFY,
        *SERVICE_TYPES,
        ValueType("map", _map, _map_schema),
        value_type(
            "files",
            _files,
            {"type": ["string", "array"], "items": {"type": "string", "minLength": 1}},
        ),
    )
}
"""Type's name, as in `reference.yaml`, to the type."""
