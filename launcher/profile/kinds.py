"""Types of which a scalar does not say all: mappings, lists, paths, secrets.

Each function reads a node for the checker and returns plain JSON types, or None where something
was wrong and has been said.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from launcher.nearest import nearest
from launcher.profile import types
from launcher.profile.model import Origin
from launcher.profile.nodes import Entry, Mapping, Node, Scalar, Sequence
from launcher.profile.schema import Key
from launcher.profile.types import ScalarError
from launcher.redact import NO_SECRETS, holds_secret, is_secret_flag, is_secret_name

if TYPE_CHECKING:
    from launcher.profile.check import Checker

Kind = Callable[["Checker", Key, str, Node], Any]
OnText = Callable[[str, str, str, Entry], str]

_PORT_NAME = r"[a-z][a-z0-9-]*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


def _map(check: Checker, key: Key, path: str, node: Node) -> Any:
    if not isinstance(node, Mapping):
        first = next(iter(key.keys))
        return check.no_map(path, node, f"{path}: {{{first}: {key.keys[first].example}}}")
    return check.mapping(node, key.keys, path)


def _choice(check: Checker, key: Key, path: str, node: Node) -> Any:
    return _one_of(check, path, node, key.values, "unknown-value", "is not known")


def _engine(check: Checker, key: Key, path: str, node: Node) -> Any:
    engines = key.values
    if isinstance(node, Scalar) and node.text.strip() not in engines:
        from importlib import metadata

        plugins = {point.name for point in metadata.entry_points(group="ernie_deploy.engines")}
        engines = (*engines, *sorted(plugins - set(engines)))
    return _one_of(check, path, node, engines, "unknown-engine", "is not an engine")


def _one_of(
    check: Checker, path: str, node: Node, allowed: tuple[str, ...], code: str, message: str
) -> Any:
    value = check.scalar(path, node, types.line)
    if value is None or value in allowed:
        return value
    near = nearest(value.lower(), allowed)
    meant = f"did you mean {near!r}? " if near else ""
    remedy = f"{meant}one of: {', '.join(allowed)}"
    check.say(code, path, f"{types.quote_value(value)} {message}", node.origin, remedy)
    return None


def _secret(check: Checker, key: Key, path: str, node: Node) -> Any:
    value = check.scalar(path, node, types.secret)
    return None if value is None else absolute_reference(value, node.origin)


def _path(check: Checker, key: Key, path: str, node: Node) -> Any:
    value = check.scalar(path, node, types.line)
    return None if value is None else absolute(value, node.origin)


def _program(check: Checker, key: Key, path: str, node: Node) -> Any:
    value = check.scalar(path, node, types.line)
    # A bare word is looked up on PATH, as a shell would.
    return absolute(value, node.origin) if value and ("/" in value or value[0] in "~.") else value


def _model(check: Checker, key: Key, path: str, node: Node) -> Any:
    value = check.scalar(path, node, types.line)
    if value is None or check.engine == "hosted":
        return value
    if value.startswith("-"):
        check.say("bad-value", path, "a model cannot begin with a dash", node.origin)
        return None
    path_ = absolute(value, node.origin)
    if os.path.exists(path_):
        return path_
    if value[0] not in "/.~":
        return value
    check.say(
        "missing-model",
        path,
        f"there is no {path_}",
        node.origin,
        "relative paths start at the file that says them; a hub id is owner/name",
    )
    return path_


def _string_list(check: Checker, key: Key, path: str, node: Node) -> Any:
    items = node.items if isinstance(node, Sequence) else (node,)
    return [w for item in items if (w := check.scalar(path, item, types.line)) is not None]


def _gpus(check: Checker, key: Key, path: str, node: Node) -> Any:
    parts: list[Node] = []
    if isinstance(node, Scalar) and not node.broken:
        parts += [Scalar(t.strip(), node.plain, node.origin) for t in node.text.split(",")]
    else:
        parts += node.items if isinstance(node, Sequence) else (node,)
    indices: list[str] = []
    for part in parts:
        device = check.scalar(path, part, types.device)
        if device in indices:
            check.say("duplicate-gpu", path, f"{device} is given twice", part.origin)
        elif device is not None:
            indices.append(device)
    return indices


def _ports(check: Checker, key: Key, path: str, node: Node) -> Any:
    if not isinstance(node, Mapping):
        return check.no_map(path, node, f"{path}: {{api: 8180}}")
    ports: dict[str, Any] = {}
    for name, here, entry in check.entries(node, path):
        if not re.fullmatch(_PORT_NAME, name):
            check.say(
                "bad-key", here, "a port's name has small letters, digits and dashes", entry.origin
            )
            continue
        number = check.scalar(here, entry.value, _port)
        twin = next((n for n, p in ports.items() if p == number and p != "auto"), None)
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


def _variables(check: Checker, key: Key, path: str, node: Node) -> Any:
    if not isinstance(node, Mapping):
        return check.no_map(path, node, f"{path}: {{NAME: value}}")
    values = {}
    for name, here, entry in check.entries(node, path):
        value = check.scalar(here, entry.value, _as_written)
        if not re.fullmatch(_VARIABLE, name):
            check.say(
                "bad-variable",
                path,
                f"{types.quote_value(name)} is not a variable name",
                entry.origin,
                "letters, digits and underscores",
            )
        elif value is not None:
            values[name] = _guarded(check, is_secret_name(name), here, value, entry)
    return values


def _headers(check: Checker, key: Key, path: str, node: Node) -> Any:
    if not isinstance(node, Mapping):
        return check.no_map(path, node, f"{path}: {{X-Title: text}}")
    values = {}
    for name, here, entry in check.entries(node, path):
        value = check.scalar(here, entry.value, types.line)
        if value is not None:
            values[name] = _guarded(check, is_secret_name(name), here, value, entry)
    return values


def _body(check: Checker, key: Key, path: str, node: Node) -> Any:
    if not isinstance(node, Mapping):
        return check.no_map(path, node, f"{path}: {{field: value}}")

    def guard(name: str, here: str, value: str, entry: Entry) -> str:
        return _guarded(check, is_secret_name(name), here, value, entry)

    return _plain(check, path, node, guard)


def _arguments(check: Checker, key: Key, path: str, node: Node) -> Any:
    if not isinstance(node, Mapping):
        return check.no_map(path, node, f"{path}: {{flag: value}}")

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


def _free(check: Checker, key: Key, path: str, node: Node) -> Any:
    return _plain(check, path, node, lambda name, here, value, entry: value)


def _plain(
    check: Checker, path: str, node: Node, on_text: OnText, *, flags: bool = False, level: int = 0
) -> Any:
    """`node` without a type; `on_text` sees every text that is a key's value."""
    if isinstance(node, Scalar):
        # Under a flag's name the engine gets what was written; deeper down it is JSON's.
        reader = functools.partial(types.untyped, as_written=flags and level == 1)
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
    if re.fullmatch(types.REFERENCE, value):
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


def absolute(path: str, origin: Origin) -> str:
    """`path` as seen from the file that says it, or from here for an option."""
    folder = os.path.dirname(origin.source) if origin.line is not None else ""
    joined = os.path.join(folder, os.path.expanduser(path))
    try:
        tidy = os.path.abspath(joined)
        # `a/../b` is not `b` where `a` is a link.
        is_same_path = ".." not in path or os.path.realpath(tidy) == os.path.realpath(joined)
        return tidy if is_same_path else os.path.join(os.getcwd(), joined)
    except OSError:  # the working directory is gone
        return joined


def absolute_reference(reference: str, origin: Origin) -> str:
    """A `file:` reference's path made absolute: the keeper works in another folder."""
    kind, _, value = reference.partition(":")
    return f"file:{absolute(value, origin)}" if kind == "file" else reference


def _port(node: Scalar) -> int | str:
    return "auto" if node.text == "auto" else types.parse_integer(node, 1, 65535)


def _as_written(node: Scalar) -> str:
    if "\0" in node.text:
        raise ScalarError("holds a NUL character", code="bad-value")
    return node.text


KINDS: dict[str, Kind] = {
    "map": _map,
    "choice": _choice,
    "engine": _engine,
    "secret": _secret,
    "path": _path,
    "program": _program,
    "model": _model,
    "words": _string_list,
    "gpus": _gpus,
    "ports": _ports,
    "variables": _variables,
    "headers": _headers,
    "body": _body,
    "arguments": _arguments,
    "free": _free,
}
