"""`${NAME}` and `${NAME:-default}` in a profile's values; `$$` is a dollar.

As in a shell, the default also stands in for a variable that is set but empty, and may itself hold
variables. Everything else with a dollar (`$NAME`, `$5`) is text. Keys are not expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from launcher.errors import Problem
from launcher.json_values import JsonValue, is_list
from launcher.profile import nodes
from launcher.profile.model import Origin
from launcher.redact import is_secret_name

Say = Callable[[Problem], None]

_MAX_LEVEL = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _ExpansionError(Exception):
    """The text cannot be expanded; `code`, message and remedy for the reader."""

    def __init__(self, code: str, message: str, remedy: str | None = None) -> None:
        self.code, self.message, self.remedy = code, message, remedy
        super().__init__(message)


def expand_tree(node: nodes.Node, environ: Mapping[str, str], say: Say) -> nodes.Node:
    """`node` with the variables of all its scalars put in; `say` gets what is wrong."""
    if isinstance(node, nodes.Mapping):
        entries = {}
        for key, entry in node.entries.items():
            value = expand_tree(entry.value, environ, say)
            origin = entry.origin
            if isinstance(value, nodes.Scalar) and value.expanded:
                origin = replace(origin, note=value.origin.note)
            entries[key] = nodes.Entry(origin, value)
        return replace(node, entries=entries)
    if isinstance(node, nodes.Sequence):
        return replace(node, items=tuple(expand_tree(i, environ, say) for i in node.items))
    return expand_scalar(node, environ, say)


def escaped(node: nodes.Mapping) -> nodes.Mapping:
    """`node` with its dollars doubled, so that `expand_tree` gives back what stands there."""
    entries = {k: nodes.Entry(e.origin, _escaped(e.value)) for k, e in node.entries.items()}
    return replace(node, entries=entries)


def _escaped(node: nodes.Node) -> nodes.Node:
    if isinstance(node, nodes.Mapping):
        return escaped(node)
    if isinstance(node, nodes.Sequence):
        return replace(node, items=tuple(_escaped(item) for item in node.items))
    return replace(node, text=node.text.replace("$", "$$"))


def escape_variables(value: JsonValue) -> JsonValue:
    """Resolved values as a profile that resolves to them: every dollar sign is doubled."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: escape_variables(item) for key, item in value.items()}
    if is_list(value):
        return [escape_variables(item) for item in value]
    return value


def expand_scalar(node: nodes.Scalar, environ: Mapping[str, str], say: Say) -> nodes.Scalar:
    """`node` with its variables put in, noted in its place."""
    if "$" not in node.text:
        return node
    used: list[str] = []
    try:
        text = _expand(node.text, environ, used)
    except _ExpansionError as bad:
        say(Problem(bad.code, bad.message, node.origin.text(), bad.remedy))
        return replace(node, broken=True)
    if not used:
        return replace(node, text=text)
    return replace(node, text=text, expanded=True, origin=_noted(node.origin, used))


def _noted(origin: Origin, used: list[str]) -> Origin:
    names = list(dict.fromkeys(used))
    return replace(origin, note=f"variable{'s' if len(names) > 1 else ''} {', '.join(names)}")


def _expand(text: str, environ: Mapping[str, str], used: list[str], level: int = 0) -> str:
    if level > _MAX_LEVEL:
        raise _ExpansionError(
            "bad-variable", f"defaults stand inside of defaults {_MAX_LEVEL} times"
        )
    parts: list[str] = []
    at = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0:
            return "".join([*parts, text[at:]])
        parts.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            parts.append("$")
            at = dollar + 2
        elif following == "{":
            end = _closing(text, dollar + 2)
            parts.append(_value(text[dollar + 2 : end], environ, used, level))
            at = end + 1
        else:
            parts.append("$")
            at = dollar + 1


def _closing(text: str, start: int) -> int:
    """Index of the brace that closes the one before `start`."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return index
    raise _ExpansionError(
        "bad-variable", "`${` is never closed", "write `$${` for the characters themselves"
    )


def _value(inner: str, environ: Mapping[str, str], used: list[str], level: int) -> str:
    name, dash, default = inner.partition(":-")
    if not _NAME.fullmatch(name):
        raise _ExpansionError(
            "bad-variable",
            f"`${{{_short(name)}}}` is not a variable",
            "write ${NAME} or ${NAME:-default}, and `$$` for a dollar",
        )
    if is_secret_name(name):
        raise _ExpansionError(
            "secret-in-clear",
            f"${{{name}}} would put a secret into the profile",
            f"write the reference `env:{name}`, in `api-key` or under `env`",
        )
    used.append(name)
    value = environ.get(name, "")
    if value or (name in environ and not dash):
        return _utf8(name, value)
    if not dash:
        raise _ExpansionError(
            "unset-variable",
            f"the variable {name} is not set",
            f"export {name}=..., or write ${{{name}:-default}}",
        )
    return _expand(default, environ, used, level + 1)


def _utf8(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _ExpansionError(
            "not-utf8", f"the variable {name} does not hold UTF-8 text"
        ) from error
    return value


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
