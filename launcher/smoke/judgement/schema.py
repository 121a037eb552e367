"""The part of JSON Schema that tools and structured answers use, judged without a library.

Known: type, enum, const, properties, required, additionalProperties, items, minimum, maximum,
minLength, maxLength, minItems, maxItems, pattern. Anything else is refused, never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "null": lambda v: v is None,
}
ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$schema", "format"})
KNOWN_KEYWORDS = ANNOTATIONS | {
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
}


def violations(value: Any, schema: Mapping[str, Any], path: str = "$") -> list[str]:
    """Everything in which `value` breaks `schema`; empty where it is valid.

    Raises:
        ValueError: the schema uses a keyword this judge does not know.
    """
    strange = sorted(set(schema) - KNOWN_KEYWORDS)
    if strange:
        raise ValueError(f"{path}: JSON Schema keyword not supported here: {', '.join(strange)}")
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else list(kinds or [])
    if names and not any(TYPES[n](value) for n in names):
        return [f"{path} is not of type {' or '.join(names)}: {value!r}"]
    problems: list[str] = []
    if "enum" in schema and value not in schema["enum"]:
        problems.append(f"{path} is {value!r}, not one of {schema['enum']!r}")
    if "const" in schema and value != schema["const"]:
        problems.append(f"{path} is {value!r}, not {schema['const']!r}")
    problems += _bounds(value, schema, path)
    if isinstance(value, dict):
        problems += _object(value, schema, path)
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for position, item in enumerate(value):
            problems += violations(item, schema["items"], f"{path}[{position}]")
    return problems


def unknown_words(schema: Any, path: str = "$") -> list[str]:
    """What in a schema this judge does not know: keywords and types, as deep as they go."""
    if not isinstance(schema, Mapping):
        return [f"{path} is not a schema: {schema!r}"]
    keywords = [
        f"{path}: JSON Schema keyword not supported here: {w}"
        for w in sorted(set(schema) - KNOWN_KEYWORDS)
    ]
    kinds = schema.get("type")
    names = kinds if isinstance(kinds, list) else [kinds] if kinds is not None else []
    keywords += [f"{path}: unknown type {n!r}" for n in names if n not in TYPES]
    try:
        re.compile(str(schema.get("pattern", "")))
    except re.error as error:
        keywords.append(f"{path}: pattern is not a regular expression: {error}")
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        return [*keywords, f"{path}: properties are a mapping"]
    inner = {f"{path}.{n}": s for n, s in properties.items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            inner[f"{path}.{name}"] = schema[name]
    for where, part in inner.items():
        keywords += unknown_words(part, where)
    return keywords


def _object(value: dict[str, Any], schema: Mapping[str, Any], path: str) -> list[str]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    problems = [
        f"{path} lacks {name!r}" for name in schema.get("required", []) if name not in value
    ]
    additional = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            problems += violations(item, properties[name], f"{path}.{name}")
        elif additional is False:
            problems.append(f"{path} has {name!r}, which the schema does not allow")
        elif isinstance(additional, Mapping):
            problems += violations(item, additional, f"{path}.{name}")
    return problems


def _bounds(value: Any, schema: Mapping[str, Any], path: str) -> list[str]:
    problems: list[str] = []
    if TYPES["number"](value):
        if "minimum" in schema and value < schema["minimum"]:
            problems.append(f"{path} is {value}, below {schema['minimum']}")
        if "maximum" in schema and value > schema["maximum"]:
            problems.append(f"{path} is {value}, above {schema['maximum']}")
    for kind, low, high in ((str, "minLength", "maxLength"), (list, "minItems", "maxItems")):
        if isinstance(value, kind):
            size = len(value)
            if size < schema.get(low, 0) or size > schema.get(high, size):
                problems.append(f"{path} has length {size}")
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        problems.append(f"{path} is {value!r}, which does not match {schema['pattern']!r}")
    return problems
