"""Types of one value: text, numbers, names, paths, choices, a secret's reference."""

from __future__ import annotations

import functools
import os

from launcher.json_values import JsonObject, JsonValue
from launcher.nearest import nearest
from launcher.profile import scalars
from launcher.profile.checker import Checker
from launcher.profile.locations import absolute, absolute_reference
from launcher.profile.nodes import Node, Scalar
from launcher.profile.schema import Key
from launcher.profile.value_type import VARIABLE, WRITTEN, ValueType, scalar_type, value_type

_DURATION = r"^([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*(ms|s|m|h|d)$"
_SIZE = r"^[0-9]+(\.[0-9]+)?\s*([KMGTkmgt][Ii]?[Bb]|[Bb])$"
_REFERENCE = r"^(env:([A-Za-z_][A-Za-z0-9_]*|\$\{.*)|file:(?!//)\S.*|cmd:\s*\S.*)$"


def _choice(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    return _one_of(check, path, node, key.values, "unknown-value", "is not known")


def _choice_schema(key: Key) -> JsonObject:
    return {"anyOf": [{"enum": list(key.values)}, VARIABLE]}


def _engine(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    engines = key.values
    if isinstance(node, Scalar) and node.text.strip() not in engines:
        from importlib import metadata

        plugins = {point.name for point in metadata.entry_points(group="ernie_deploy.engines")}
        engines = (*engines, *sorted(plugins - set(engines)))
    return _one_of(check, path, node, engines, "unknown-engine", "is not an engine")


def _engine_schema(key: Key) -> JsonObject:
    # Plug-ins add engines, so that an editor offers ours and refuses no other.
    return {"anyOf": [{"enum": list(key.values)}, {"type": "string"}]}


def _one_of(
    check: Checker, path: str, node: Node, allowed: tuple[str, ...], code: str, message: str
) -> JsonValue:
    value = check.scalar(path, node, scalars.line)
    if value is None or value in allowed:
        return value
    near = nearest(value.lower(), allowed)
    meant = f"did you mean {near!r}? " if near else ""
    remedy = f"{meant}one of: {', '.join(allowed)}"
    check.say(code, path, f"{scalars.quote_value(value)} {message}", node.origin, remedy)
    return None


def _secret(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    value = check.scalar(path, node, scalars.secret)
    return None if value is None else absolute_reference(value, node.origin)


def _path(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    value = check.scalar(path, node, scalars.line)
    return None if value is None else absolute(value, node.origin)


def _program(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    value = check.scalar(path, node, scalars.line)
    # A bare word is looked up on PATH, as a shell would.
    return absolute(value, node.origin) if value and ("/" in value or value[0] in "~.") else value


def _model(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    value = check.scalar(path, node, scalars.line)
    if value is None or check.engine == "hosted":
        return value
    if value.startswith("-"):
        check.say("bad-value", path, "a model cannot begin with a dash", node.origin)
        return None
    absolute_path = absolute(value, node.origin)
    if os.path.exists(absolute_path):
        return absolute_path
    if value[0] not in "/.~":
        return value
    check.say(
        "missing-model",
        path,
        f"there is no {absolute_path}",
        node.origin,
        "relative paths start at the file that says them; a hub id is owner/name",
    )
    return absolute_path


def _integer_schema(least: int) -> JsonObject:
    return {"anyOf": [{"type": "integer", "minimum": least}, VARIABLE]}


def _quantity_schema(pattern: str) -> JsonObject:
    return {
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": pattern},
            VARIABLE,
        ]
    }


_PATH_SCHEMA: JsonObject = {"type": "string", "minLength": 1}

SCALARS = (
    scalar_type("text", scalars.text, WRITTEN),
    scalar_type("line", scalars.line, WRITTEN),
    value_type("path", _path, _PATH_SCHEMA),
    value_type("program", _program, _PATH_SCHEMA),
    value_type("model", _model, WRITTEN),
    scalar_type(
        "version",
        scalars.version,
        {"type": ["string", "number"], "pattern": r"^\s*([0-9]|[<>=!~]|\$\{)"},
    ),
    scalar_type(
        "name",
        scalars.name,
        {"type": ["string", "integer"], "pattern": rf"^({scalars.NAME}|.*\$\{{.*)$"},
    ),
    scalar_type("host", scalars.host, {"type": "string", "pattern": r"^[A-Za-z0-9_.:%$\{\}-]+$"}),
    scalar_type(
        "url",
        scalars.url,
        {"type": "string", "pattern": r"^(https?://[^\s/?#@]+(/[^\s?#]*)?|.*\$\{.*)$"},
    ),
    value_type("secret", _secret, {"type": "string", "pattern": _REFERENCE}),
    ValueType("choice", _choice, _choice_schema),
    ValueType("engine", _engine, _engine_schema),
    scalar_type("count", functools.partial(scalars.parse_integer, least=1), _integer_schema(1)),
    scalar_type("number", functools.partial(scalars.parse_integer, least=0), _integer_schema(0)),
    scalar_type("boolean", scalars.boolean, {"anyOf": [{"type": "boolean"}, VARIABLE]}),
    scalar_type("duration", scalars.duration, _quantity_schema(_DURATION)),
    scalar_type("size", scalars.size, _quantity_schema(_SIZE)),
)
