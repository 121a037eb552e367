"""The type of `service.keys`: named keys of clients, each a reference with limits."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from launcher.json_values import JsonObject, JsonValue, integer_at, object_at, text_at
from launcher.profile import nodes, scalars
from launcher.profile.checker import Checker
from launcher.profile.locations import absolute_reference
from launcher.profile.nodes import Entry, Node, Scalar
from launcher.profile.scalars import ScalarError
from launcher.profile.schema import Key
from launcher.profile.service import ServiceKey
from launcher.profile.unknown_keys import say_unknown
from launcher.profile.value_type import VARIABLE, value_type

MOST_KEYS = 500
"""Keys of a service; the map that HAProxy looks them up in has two lines for each at most."""
LONGEST_PERIOD = 24 * 3600
"""Seconds over which requests may be counted."""
MOST_REQUESTS = 1_000_000_000
_NAME = r"[a-z0-9][a-z0-9.-]{0,39}"
_RATE = r"([0-9]{1,10})\s*/\s*(\S+)"
_EXAMPLE = "{team-a: {key: env:TEAM_A_KEY}}"
_KEYS: Mapping[str, Key] = {
    name: Key(name, "", "") for name in ("key", "next", "rate", "concurrency")
}


def rate(node: Scalar) -> str:
    """Requests within a time, as `60/60s`.

    Raises:
        ScalarError: it is none, or out of range.
    """
    text = node.text.strip()
    match = re.fullmatch(_RATE, text)
    if match is None:
        raise ScalarError(f"{scalars.quote_value(text)} is not a rate", "write it like 60/1m")
    requests, period = int(match[1]), scalars.seconds(match[2])
    if not 1 <= requests <= MOST_REQUESTS:
        raise ScalarError(f"{requests} is not between 1 and {MOST_REQUESTS}", code="out-of-range")
    if not 1 <= period <= LONGEST_PERIOD or period != int(period):
        raise ScalarError(
            f"{period} s is not a whole number of seconds up to a day", code="out-of-range"
        )
    return f"{requests}/{int(period)}s"


def read_keys(section: JsonObject) -> tuple[ServiceKey, ...]:
    """The keys of a `service:` section that the type has read, in the order of the profile."""
    keys = []
    for name, entry in object_at(section, "keys").items():
        requests, _, period = text_at(entry, "rate").partition("/")
        keys.append(
            ServiceKey(
                name=name,
                key=text_at(entry, "key"),
                next=text_at(entry, "next"),
                requests=int(requests or 0),
                period=int(period.removesuffix("s") or 0),
                concurrency=integer_at(entry, "concurrency") or 0,
            )
        )
    return tuple(keys)


def _keys(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    if not isinstance(node, nodes.Mapping):
        check.no_map(path, node, f"{path}: {_EXAMPLE}")
        return None
    if len(node.entries) > MOST_KEYS:
        check.say("out-of-range", path, f"more than {MOST_KEYS} keys", node.origin)
        return None
    values: dict[str, JsonValue] = {}
    references: dict[str, str] = {}
    for name, here, entry in check.entries(node, path):
        if not re.fullmatch(_NAME, name):
            check.say(
                "bad-name", here, f"{scalars.quote_value(name)} cannot be the name of a key",
                entry.origin, "small letters, digits, dots and dashes, at most 40",
            )  # fmt: skip
            continue
        value = _key(check, here, entry)
        for slot in ("key", "next"):
            reference = value.get(slot)
            if not isinstance(reference, str):
                continue
            first = references.setdefault(reference, f"{name}.{slot}")
            if first != f"{name}.{slot}":
                check.say(
                    "duplicate-api-key", here, f"has the same reference as {first}", entry.origin,
                    "each name has a key of its own: usage and limits go by the name",
                )  # fmt: skip
        values[name] = value
    if not values and not check.problems:
        check.say(
            "empty-value", path, "names no key, so that every request would be refused",
            node.origin, f"write {path}: {_EXAMPLE}, or remove `keys`",
        )  # fmt: skip
        return None
    return values


def _key(check: Checker, path: str, entry: Entry) -> dict[str, JsonValue]:
    """One key: a reference, or a mapping with `key` and limits."""
    node = entry.value
    if isinstance(node, Scalar):
        reference = _reference(check, path, entry)
        return {} if reference is None else {"key": reference}
    if not isinstance(node, nodes.Mapping):
        check.no_map(path, node, f"{path}: {{key: env:NAME, rate: 60/1m}}")
        return {}
    values: dict[str, JsonValue] = {}
    names: list[str] = []
    for name, here, one in check.entries(node, path):
        names.append(name)
        if name not in _KEYS:
            del check.origins[here]
            say_unknown(check, name, here, _KEYS, one.origin)
            continue
        value: JsonValue
        if name == "rate":
            value = check.scalar(here, one.value, rate)
        elif name == "concurrency":
            value = check.scalar(
                here, one.value,
                functools.partial(scalars.parse_integer, least=1, most=MOST_REQUESTS),
            )  # fmt: skip
        else:
            value = _reference(check, here, one)
        if value is not None:
            values[name] = value
    if "key" not in names:
        check.say(
            "missing-key", path, "has no `key`", node.origin, "add `key: env:NAME` or `file:PATH`"
        )
    return values


def _reference(check: Checker, path: str, entry: Entry) -> str | None:
    value = check.scalar(path, entry.value, scalars.secret)
    return None if value is None else absolute_reference(value, entry.value.origin)


_SECRET: JsonObject = {
    "type": "string",
    "pattern": r"^(env:([A-Za-z_][A-Za-z0-9_]*|\$\{.*)|file:(?!//)\S.*|cmd:\s*\S.*)$",
}
_ENTRY: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "required": ["key"],
    "properties": {
        "key": _SECRET,
        "next": _SECRET,
        "rate": {"type": "string", "pattern": r"^\s*[0-9]{1,10}\s*/\s*[0-9.]+\s*(ms|s|m|h|d)\s*$"},
        "concurrency": {"anyOf": [{"type": "integer", "minimum": 1}, VARIABLE]},
    },
}
_SCHEMA: JsonObject = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": MOST_KEYS,
    "propertyNames": {"pattern": f"^{_NAME}$"},
    "additionalProperties": {"anyOf": [_SECRET, _ENTRY]},
}

SERVICE_KEYS = value_type("service-keys", _keys, _SCHEMA)
"""The type; its value maps a name to `key`, and where they are set `next`, `rate` (`60/60s`) and
`concurrency`."""
