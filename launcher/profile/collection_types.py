"""Types of several values: lists, ports, variables, flags, and mappings without a schema."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from launcher.json_values import JsonObject, JsonValue
from launcher.profile import scalars
from launcher.profile.checker import Checker
from launcher.profile.locations import absolute_reference
from launcher.profile.model import KEEPER_PORT
from launcher.profile.nodes import Entry, Mapping, Node, Scalar, Sequence
from launcher.profile.scalars import ScalarError
from launcher.profile.schema import Key
from launcher.profile.value_type import VARIABLE, WRITTEN, value_type
from launcher.redact import NO_SECRETS, holds_secret, is_secret_flag, is_secret_name

OnText = Callable[[str, str, str, Entry], str]

_PORT_NAME = r"[a-z][a-z0-9-]*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_DEVICES = rf"^\s*({scalars.DEVICE})\s*(,\s*({scalars.DEVICE})\s*)*$"


def _string_list(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    items = node.items if isinstance(node, Sequence) else (node,)
    return [w for item in items if (w := check.scalar(path, item, scalars.line)) is not None]


def read_gpus(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    """Device ids, each once: `0`, `0,1`, or a list."""
    parts: list[Node] = []
    if isinstance(node, Scalar) and not node.broken:
        parts += [Scalar(t.strip(), node.plain, node.origin) for t in node.text.split(",")]
    else:
        parts += node.items if isinstance(node, Sequence) else (node,)
    indices: list[str] = []
    for part in parts:
        device = check.scalar(path, part, scalars.device)
        if device in indices:
            check.say("duplicate-gpu", path, f"{device} is given twice", part.origin)
        elif device is not None:
            indices.append(device)
    return indices


def _ports(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    if not isinstance(node, Mapping):
        check.no_map(path, node, f"{path}: {{api: 8180}}")
        return None
    ports: dict[str, JsonValue] = {}
    for name, here, entry in check.entries(node, path):
        if not re.fullmatch(_PORT_NAME, name):
            check.say(
                "bad-key", here, "a port's name has small letters, digits and dashes", entry.origin
            )
            continue
        number = check.scalar(here, entry.value, _admin_port if name == KEEPER_PORT else port)
        twin = next((n for n, p in ports.items() if p == number and isinstance(p, int)), None)
        if twin is not None:
            check.say(
                "duplicate-port",
                here,
                f"{number} is ports.{twin} already",
                entry.value.origin,
                "give one of them another number, or `auto`",
            )
        elif number is not None:
            ports[name] = number
    return ports


def _variables(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    if not isinstance(node, Mapping):
        check.no_map(path, node, f"{path}: {{NAME: value}}")
        return None
    values = {}
    for name, here, entry in check.entries(node, path):
        value = check.scalar(here, entry.value, _as_written)
        if not re.fullmatch(_VARIABLE, name):
            check.say(
                "bad-variable",
                path,
                f"{scalars.quote_value(name)} is not a variable name",
                entry.origin,
                "letters, digits and underscores",
            )
        elif value is not None:
            values[name] = _guarded(check, is_secret_name(name), here, value, entry)
    return values


def _headers(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    if not isinstance(node, Mapping):
        check.no_map(path, node, f"{path}: {{X-Title: text}}")
        return None
    values = {}
    for name, here, entry in check.entries(node, path):
        value = check.scalar(here, entry.value, scalars.line)
        if value is not None:
            values[name] = _guarded(check, is_secret_name(name), here, value, entry)
    return values


def _body(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    if not isinstance(node, Mapping):
        check.no_map(path, node, f"{path}: {{field: value}}")
        return None

    def guard(name: str, here: str, value: str, entry: Entry) -> str:
        return _guarded(check, is_secret_name(name), here, value, entry)

    return _plain(check, path, node, guard)


def _arguments(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    if not isinstance(node, Mapping):
        check.no_map(path, node, f"{path}: {{flag: value}}")
        return None

    def guard(name: str, here: str, value: str, entry: Entry) -> str:
        if is_secret_flag(name) or holds_secret(value):
            check.say(
                "secret-in-clear",
                here,
                "would put a secret into the command line",
                entry.value.origin,
                "use `api-key`, or the engine's variable under `env` with "
                "a reference (env:NAME, file:PATH, cmd:COMMAND)",
            )
        return value

    return _plain(check, path, node, guard, flags=True)


def _free(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    return _plain(check, path, node, lambda name, here, value, entry: value)


def _plain(
    check: Checker, path: str, node: Node, on_text: OnText, *, flags: bool = False, level: int = 0
) -> JsonValue:
    """`node` without a type; `on_text` sees every text that is a key's value."""
    if isinstance(node, Scalar):
        # Under a flag's name the engine gets what was written; deeper down it is JSON's.
        reader = functools.partial(scalars.untyped, as_written=flags and level == 1)
        return check.scalar(path, node, reader)
    if isinstance(node, Sequence):
        values = []
        for index, item in enumerate(node.items):
            here = f"{path}.{index}"
            check.origins[here] = item.origin
            value = _plain(check, here, item, on_text, flags=flags, level=level)
            if isinstance(value, str):
                value = on_text("", here, value, Entry(item.origin, item))
            values.append(value)
        return values
    plain = {}
    for name, here, entry in check.entries(node, path):
        value = _plain(check, here, entry.value, on_text, flags=flags, level=level + 1)
        plain[name] = on_text(name, here, value, entry) if isinstance(value, str) else value
    return plain


def _guarded(check: Checker, secret: bool, path: str, value: str, entry: Entry) -> str:
    """`value`, its path made absolute if it is a reference; a secret must be one."""
    if re.fullmatch(scalars.REFERENCE, value):
        return absolute_reference(value, entry.value.origin)
    holds = holds_secret(value)
    if holds or (secret and value not in NO_SECRETS):
        name = re.sub(r"\W", "_", path.rpartition(".")[2]).upper()
        how = "looks like a key or holds a password" if holds else "is named like a secret"
        check.say(
            "secret-in-clear",
            path,
            f"{how}, and secrets never stand in a profile",
            entry.value.origin,
            f"write a reference: env:{name}, file:PATH or cmd:COMMAND",
        )
    return value


def port(node: Scalar) -> int | str:
    """A TCP port, or `auto`.

    Raises:
        ScalarError: it is neither.
    """
    return "auto" if node.text == "auto" else scalars.parse_integer(node, 1, 65535)


def _admin_port(node: Scalar) -> int | str:
    return "unix" if node.text == "unix" else port(node)


def _as_written(node: Scalar) -> str:
    if "\0" in node.text:
        raise ScalarError("holds a NUL character", code="bad-value")
    return node.text


_GPU_LIST: JsonObject = {
    "type": "array",
    "uniqueItems": True,
    "items": {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": _DEVICES.replace("*$", "{0}$")},
            VARIABLE,
        ]
    },
}
_PORT_NUMBER: JsonObject = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 65535},
        {"const": "auto"},
        {"type": "null"},
        VARIABLE,
    ]
}
_ADMIN_PORT: JsonObject = {"anyOf": [{"const": "unix"}, _PORT_NUMBER]}
_TEXTS: JsonObject = {"type": ["string", "number", "boolean", "null"]}

COLLECTIONS = (
    value_type(
        "words",
        _string_list,
        {"type": ["string", "number", "boolean", "array"], "items": WRITTEN},
    ),
    value_type(
        "gpus",
        read_gpus,
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": _DEVICES},
                _GPU_LIST,
                VARIABLE,
            ]
        },
    ),
    value_type(
        "ports",
        _ports,
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{_PORT_NAME}$"},
            "properties": {KEEPER_PORT: _ADMIN_PORT},
            "additionalProperties": _PORT_NUMBER,
        },
    ),
    value_type(
        "variables",
        _variables,
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{_VARIABLE}$"},
            "additionalProperties": _TEXTS,
        },
    ),
    value_type("headers", _headers, {"type": "object", "additionalProperties": _TEXTS}),
    value_type("body", _body, {"type": "object"}),
    value_type("arguments", _arguments, {"type": "object"}),
    value_type("free", _free, {}),
)
