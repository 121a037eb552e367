"""The profile's JSON Schema (draft 2020-12), for editors and other people's tools.

It is made from `reference.yaml`, as the loader's checks are. It says what one file may hold, so
keys that another file can give are not required, every value may be null (which deletes) and every
value that is not text may be text with a `${VARIABLE}` in it. The loader is stricter where a schema
cannot speak: files that exist, references that resolve, versions, combinations.
"""

from __future__ import annotations

import json

from launcher.json_values import JsonObject
from launcher.profile.schema import schema
from launcher.profile.types import property_of

ID = "profile.schema.json"


def json_schema() -> JsonObject:
    """The schema, as plain JSON types."""
    keys = schema()
    hosted: JsonObject = {"properties": {"engine": {"const": "hosted"}}, "required": ["engine"]}
    rule: JsonObject = {"not": {"required": ["extends"]}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "ernie-deploy profile",
        "description": "What `ernie-deploy up` serves. Made from launcher/profile/reference.yaml.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: property_of(key) for name, key in keys.items()},
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


def _absent(only: str) -> JsonObject:
    return {name: {"type": "null"} for name, key in schema().items() if key.only == only}


def _require(*names: str) -> JsonObject:
    return {"properties": {name: {"not": {"type": "null"}} for name in names}}
