"""The profile's JSON Schema (draft 2020-12), for editors and other people's tools.

It is made from `reference.yaml`, as the loader's checks are. It says what one file may hold, so
keys that another file can give are not required, every value may be null (which deletes) and every
value that is not text may be text with a `${VARIABLE}` in it. The loader is stricter where a schema
cannot speak: files that exist, references that resolve, versions, combinations.
"""

from __future__ import annotations

import json
from typing import Any

from launcher.profile import types
from launcher.profile.schema import Key, schema

ID = "profile.schema.json"
VARIABLE = {"type": "string", "pattern": r"\$\{"}
WRITTEN = {"type": ["string", "number", "boolean"]}
"""What is text however it is written: `2.10`, `on`, `"2.10"`."""

_DURATION = r"^([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*(ms|s|m|h|d)$"
_SIZE = r"^[0-9]+(\.[0-9]+)?\s*([KMGTkmgt][Ii]?[Bb]|[Bb])$"
_REFERENCE = r"^(env:([A-Za-z_][A-Za-z0-9_]*|\$\{.*)|file:(?!//)\S.*|cmd:\s*\S.*)$"
_DEVICE = types.DEVICE
_DEVICES = rf"^\s*({_DEVICE})\s*(,\s*({_DEVICE})\s*)*$"

_TYPES: dict[str, dict[str, Any]] = {
    "text": WRITTEN,
    "line": WRITTEN,
    "path": {"type": "string", "minLength": 1},
    "program": {"type": "string", "minLength": 1},
    "model": WRITTEN,
    "version": {"type": ["string", "number"], "pattern": r"^\s*([0-9]|[<>=!~]|\$\{)"},
    "name": {"type": ["string", "integer"], "pattern": rf"^({types.NAME}|.*\$\{{.*)$"},
    "host": {"type": "string", "pattern": r"^[A-Za-z0-9_.:%$\{\}-]+$"},
    "url": {"type": "string", "pattern": r"^(https?://[^\s/?#@]+(/[^\s?#]*)?|.*\$\{.*)$"},
    "secret": {"type": "string", "pattern": _REFERENCE},
    "engine": {"type": "string"},
    "count": {"anyOf": [{"type": "integer", "minimum": 1}, VARIABLE]},
    "number": {"anyOf": [{"type": "integer", "minimum": 0}, VARIABLE]},
    "duration": {
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": _DURATION},
            VARIABLE,
        ]
    },
    "size": {
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _SIZE}, VARIABLE]
    },
    "files": {"type": ["string", "array"], "items": {"type": "string", "minLength": 1}},
    "words": {"type": ["string", "number", "boolean", "array"], "items": WRITTEN},
    "gpus": {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": _DEVICES},
            {
                "type": "array",
                "uniqueItems": True,
                "items": {
                    "anyOf": [
                        {"type": "integer", "minimum": 0},
                        {"type": "string", "pattern": _DEVICES.replace("*$", "{0}$")},
                        VARIABLE,
                    ]
                },
            },
            VARIABLE,
        ]
    },
    "ports": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z][a-z0-9-]*$"},
        "additionalProperties": {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"const": "auto"},
                {"type": "null"},
                VARIABLE,
            ]
        },
    },
    "variables": {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    },
    "headers": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    },
    "body": {"type": "object"},
    "arguments": {"type": "object"},
    "free": {},
}


def json_schema() -> dict[str, Any]:
    """The schema, as plain JSON types."""
    keys = schema()
    hosted = {"properties": {"engine": {"const": "hosted"}}, "required": ["engine"]}
    rule = {"not": {"required": ["extends"]}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "ernie-deploy profile",
        "description": "What `ernie-deploy up` serves. Made from launcher/profile/reference.yaml.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _property(key) for name, key in keys.items()},
        "allOf": [
            {"if": rule, "then": {"required": ["name", "engine"], **_require("name", "engine")}},
            {
                "if": {"allOf": [rule, {"not": hosted}]},
                "then": {"required": ["model"], **_require("model")},
            },
            {"if": {"allOf": [rule, hosted]}, "then": {"required": ["base-url"]}},
            {"if": hosted, "then": {"properties": _absent("local")}},
            {
                "if": {"required": ["engine"], "not": hosted},
                "then": {"properties": _absent("hosted")},
            },
        ],
    }


def text() -> str:
    """The schema as the file `profiles/profile.schema.json` holds it."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=2) + "\n"


def _absent(only: str) -> dict[str, Any]:
    return {name: {"type": "null"} for name, key in schema().items() if key.only == only}


def _require(*names: str) -> dict[str, Any]:
    return {"properties": {name: {"not": {"type": "null"}} for name in names}}


def _property(key: Key) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": key.meaning}
    if key.default is not None:
        schema["default"] = key.default
    example = key.example if key.example is not None else key.elsewhere
    if example is not None:
        schema["examples"] = [example]
    return {**schema, **_nullable(_typed(key))}


def _typed(key: Key) -> dict[str, Any]:
    if key.type == "map":
        properties = {name: _property(inner) for name, inner in key.keys.items()}
        return {"type": "object", "additionalProperties": False, "properties": properties}
    if key.type == "choice":
        return {"anyOf": [{"enum": list(key.values)}, VARIABLE]}
    if key.type == "engine":
        # Plug-ins add engines, so that an editor offers ours and refuses no other.
        return {"anyOf": [{"enum": list(key.values)}, _TYPES["engine"]]}
    return _TYPES[key.type]


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if not schema:
        return {}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*kinds, "null"]}
