"""The part of JSON Schema that tools and structured answers use, judged without a library.

Known: type, enum, const, properties, required, additionalProperties, items, minimum, maximum,
minLength, maxLength, minItems, maxItems, pattern. Anything else is refused, never skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from launcher.json_values import (
    JsonObject,
    JsonValue,
    integer_at,
    is_list,
    list_at,
    number_at,
    object_at,
    text_at,
)

TYPES: Mapping[str, Callable[[JsonValue], bool]] = {
    "object": lambda v: isinstance(v, Mapping),
    "array": is_list,
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "null": lambda v: v is None,
}
ANNOTATIONS = ("title", "description", "default", "examples", "$schema", "format")
VALUES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "enum": (("array",), "a list"),
    "properties": (("object",), "a mapping"),
    "required": (("array",), "a list of names"),
    "additionalProperties": (("boolean", "object"), "true, false or a schema"),
    "items": (("object",), "a schema"),
    "minimum": (("number",), "a number"),
    "maximum": (("number",), "a number"),
    "minLength": (("integer",), "a whole number"),
    "maxLength": (("integer",), "a whole number"),
    "minItems": (("integer",), "a whole number"),
    "maxItems": (("integer",), "a whole number"),
    "pattern": (("string",), "a regular expression"),
}
"""Keyword to the types of its value, and how a message calls them."""
KNOWN_KEYWORDS = frozenset({*ANNOTATIONS, *VALUES, "type", "const"})


def violations(value: JsonValue, schema: JsonObject, path: str = "$") -> list[str]:
    """Everything in which `value` breaks `schema`; empty where it is valid.

    Raises:
        ValueError: the schema uses a keyword this judge does not know, or in a wrong way.
    """
    problems = list(_own_problems(schema, path))
    if problems:
        raise ValueError("; ".join(problems))
    names = _type_names(schema)
    if names and not any(TYPES[n](value) for n in names):
        return [f"{path} is not of type {' or '.join(names)}: {value!r}"]
    if "enum" in schema and value not in list_at(schema, "enum"):
        problems.append(f"{path} is {value!r}, not one of {schema['enum']!r}")
    if "const" in schema and value != schema["const"]:
        problems.append(f"{path} is {value!r}, not {schema['const']!r}")
    problems += _bounds(value, schema, path)
    if isinstance(value, Mapping):
        problems += _object(value, schema, path)
    elif is_list(value):
        for position, item in enumerate(value):
            problems += violations(item, object_at(schema, "items"), f"{path}[{position}]")
    return problems


def unknown_words(schema: JsonValue, path: str = "$") -> list[str]:
    """What in a schema this judge cannot judge: keywords, types and values, as deep as they go."""
    if not isinstance(schema, Mapping):
        return [f"{path} is not a schema: {schema!r}"]
    problems = list(_own_problems(schema, path))
    inner = {f"{path}.{n}": part for n, part in object_at(schema, "properties").items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            inner[f"{path}.{name}"] = schema[name]
    for where, part in inner.items():
        problems += unknown_words(part, where)
    return problems


def _own_problems(schema: JsonObject, path: str) -> Iterator[str]:
    """What is wrong in a schema itself, without the schemas inside it."""
    for word in sorted(set(schema) - KNOWN_KEYWORDS):
        yield f"{path}: JSON Schema keyword not supported here: {word}"
    types = schema.get("type")
    for name in types if is_list(types) else [types] if types is not None else []:
        if not isinstance(name, str) or name not in TYPES:
            yield f"{path}: unknown type {name!r}"
    for keyword, (kinds, needed) in VALUES.items():
        if keyword in schema and not any(TYPES[kind](schema[keyword]) for kind in kinds):
            yield f"{path}: {keyword} needs {needed}, not {schema[keyword]!r}"
    if not all(isinstance(name, str) for name in list_at(schema, "required")):
        yield f"{path}: required needs a list of names, not {schema['required']!r}"
    try:
        re.compile(text_at(schema, "pattern"))
    except re.error as error:
        yield f"{path}: pattern is not a regular expression: {error}"


def _type_names(schema: JsonObject) -> list[str]:
    types = schema.get("type")
    return [n for n in (types if is_list(types) else [types]) if isinstance(n, str)]


def _object(value: JsonObject, schema: JsonObject, path: str) -> list[str]:
    properties = object_at(schema, "properties")
    required = list_at(schema, "required")
    problems = [f"{path} lacks {name!r}" for name in required if name not in value]
    additional = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            problems += violations(item, object_at(properties, name), f"{path}.{name}")
        elif additional is False:
            problems.append(f"{path} has {name!r}, which the schema does not allow")
        elif isinstance(additional, Mapping):
            problems += violations(item, additional, f"{path}.{name}")
    return problems


def _bounds(value: JsonValue, schema: JsonObject, path: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from _size(len(value), schema, "minLength", "maxLength", path)
        if not re.search(text_at(schema, "pattern"), value):
            yield f"{path} is {value!r}, which does not match {schema['pattern']!r}"
    elif is_list(value):
        yield from _size(len(value), schema, "minItems", "maxItems", path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        least, most = number_at(schema, "minimum"), number_at(schema, "maximum")
        if least is not None and value < least:
            yield f"{path} is {value}, below {least}"
        if most is not None and value > most:
            yield f"{path} is {value}, above {most}"


def _size(size: int, schema: JsonObject, low: str, high: str, path: str) -> Iterator[str]:
    least, most = integer_at(schema, low), integer_at(schema, high)
    if (least is not None and size < least) or (most is not None and size > most):
        yield f"{path} has length {size}"
