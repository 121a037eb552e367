"""Types of the `service:` section: a port, a share in percent, and the devices of each replica."""

from __future__ import annotations

import re

from launcher.json_values import JsonObject, JsonValue
from launcher.profile.checker import Checker
from launcher.profile.collection_types import port, read_gpus
from launcher.profile.nodes import Node, Scalar, Sequence
from launcher.profile.scalars import ScalarError, quote_value
from launcher.profile.schema import Key
from launcher.profile.service_keys import SERVICE_KEYS
from launcher.profile.value_type import VARIABLE, ValueType, scalar_type, value_type

_PERCENT = r"([0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*%"
_SHARE = r"[0-9]{1,6}(?:\.[0-9]{1,18})?"


def percentage(node: Scalar) -> float:
    """A share: `1%` is 0.01; a plain number is the share itself.

    Raises:
        ScalarError: it is neither.
    """
    text = node.text.strip()
    match = re.fullmatch(_PERCENT, text)
    if match is not None:
        return round(float(match[1]) / 100, 10)
    if node.plain and re.fullmatch(_SHARE, text):
        return float(text)
    raise ScalarError(f"{quote_value(text)} is not a percentage", "write it like 1% or 0.01")


def decimal(node: Scalar) -> float:
    """A number above 0, with decimals.

    Raises:
        ScalarError: it is none.
    """
    text = node.text.strip()
    if not re.fullmatch(_SHARE, text) or not float(text):
        raise ScalarError(f"{quote_value(text)} is not a number above 0", "write it like 2.5")
    return float(text)


def _percentages(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    """Rising shares between 0 and 1."""
    shares: list[JsonValue] = []
    before = 0.0
    for item in node.items if isinstance(node, Sequence) else (node,):
        share = check.scalar(path, item, percentage)
        if share is None:
            continue
        if not before < share < 1:
            message = f"{share:.4g} is not more than {before:.4g} and less than 1"
            check.say(
                "bad-value", path, message, item.origin, "shares rise, such as [10%, 50%]; all the"
                " traffic comes last by itself",
            )  # fmt: skip
        else:
            shares.append(share)
            before = share
    return shares


def _gpu_sets(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    """One list of devices for each replica; no device is in two of them."""
    if not isinstance(node, Sequence):
        check.say(
            "wrong-type", path, "is not a list of lists", node.origin, "gpus: [[0], [1], [2]]"
        )
        return None
    sets: list[JsonValue] = []
    taken: set[str] = set()
    for item in node.items:
        devices = read_gpus(check, key, path, item)
        names = [str(device) for device in devices] if isinstance(devices, list) else []
        for name in taken.intersection(names):
            check.say("duplicate-gpu", path, f"{name} is given to two replicas", item.origin)
        taken.update(names)
        sets.append([*names])
    return sets


def _dialects(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    """Names of dialects, each once; OpenAI's is spoken by every engine, so it is among them."""
    names: list[str] = []
    for item in node.items if isinstance(node, Sequence) else (node,):
        name = item.text.strip() if isinstance(item, Scalar) else ""
        if name not in key.values:
            known = " and ".join(key.values)
            check.say("unknown-value", path, "is not a dialect", item.origin, f"known: {known}")
        elif name not in names:
            names.append(name)
    if key.values[0] not in names:
        check.say(
            "bad-value", path, f"`{key.values[0]}` is missing", node.origin,
            f"write [{', '.join(key.values)}]: every engine speaks it",
        )  # fmt: skip
    return [*names]


def _dialects_schema(key: Key) -> JsonObject:
    one: JsonObject = {"anyOf": [{"enum": list(key.values)}, VARIABLE]}
    return {"type": ["array", "string"], "items": one}


_SHARE_SCHEMA: JsonObject = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": f"^{_PERCENT}$"},
        VARIABLE,
    ]
}
_DECIMAL_SCHEMA: JsonObject = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, VARIABLE]}
_DEVICE_LIST: JsonObject = {"type": ["array", "string", "integer"]}

SERVICE_TYPES = (
    scalar_type(
        "port",
        port,
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"const": "auto"},
                VARIABLE,
            ]
        },
    ),
    scalar_type("percentage", percentage, _SHARE_SCHEMA),
    scalar_type("decimal", decimal, _DECIMAL_SCHEMA),
    value_type(
        "percentages", _percentages, {"type": ["array", "string", "number"], "items": _SHARE_SCHEMA}
    ),
    ValueType("dialects", _dialects, _dialects_schema),
    value_type("gpu-sets", _gpu_sets, {"type": "array", "items": _DEVICE_LIST}),
    SERVICE_KEYS,
)
