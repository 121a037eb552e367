"""The type of `notify`: targets that are told of changes, each a command or a webhook."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from launcher.json_values import JsonObject, JsonValue
from launcher.profile import nodes, scalars
from launcher.profile.checker import Checker
from launcher.profile.collection_types import COLLECTIONS
from launcher.profile.locations import absolute, absolute_reference
from launcher.profile.model import Origin
from launcher.profile.nodes import Entry, Node, Scalar, Sequence
from launcher.profile.scalars import ScalarError
from launcher.profile.schema import Key
from launcher.profile.unknown_keys import say_unknown
from launcher.profile.value_type import VARIABLE, WRITTEN, value_type
from launcher.redact import holds_secret

STATES = ("ready", "stalled", "failed", "died", "restarting", "stopped", "recovered")
"""Changes that a target can be told of."""
DEFAULT_STATES = ("stalled", "failed", "died", "recovered")
"""What an operator has to know of: trouble, and its end."""
TIMEOUT, LONGEST_TIMEOUT = 10, 300
"""Seconds of one try."""
RETRIES, MOST_RETRIES = 3, 10
MOST_TARGETS = 8

_KEYS: Mapping[str, Key] = {
    name: Key(name, "", "")
    for name in ("name", "command", "env", "webhook", "headers", "on", "timeout", "retries")
}
_TYPES = {one.name: one for one in COLLECTIONS}
_KEYED_HOSTS = (
    "hooks.slack.com/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/",
    ".webhook.office.com/", "open.feishu.cn/open-apis/bot/", "open.larksuite.com/open-apis/bot/",
)  # fmt: skip
"""Services whose URLs are keys: who has one can post."""
_FIXED_HEADERS = ("host", "content-length", "transfer-encoding", "connection")
_OURS = "ERNIE_DEPLOY_"

_Values = dict[str, JsonValue]
_Reader = Callable[[Checker, str, Entry], JsonValue]


def _notify(check: Checker, key: Key, path: str, node: Node) -> JsonValue:
    example = f"{path}: [{{command: [/usr/local/bin/page]}}]"
    if not isinstance(node, Sequence):
        check.say(
            "wrong-type", path, "a list of targets is expected", node.origin, f"write {example}"
        )
        return None
    if len(node.items) > MOST_TARGETS:
        check.say("out-of-range", path, f"more than {MOST_TARGETS} targets", node.origin)
        return None
    targets: list[JsonValue] = []
    names: list[str] = []
    for index, item in enumerate(node.items):
        here = f"{path}.{index}"
        check.origins[here] = item.origin
        if not isinstance(item, nodes.Mapping):
            check.no_map(here, item, example)
            continue
        values = _target(check, here, item)
        kind = "webhook" if "webhook" in values else "command"
        name = str(values.get("name") or f"{kind}-{index + 1}")
        if name in names:
            check.say("bad-name", here, f"{name} is the name of another target", item.origin)
        names.append(name)
        targets.append({**values, "name": name})
    return targets


def _target(check: Checker, path: str, node: nodes.Mapping) -> _Values:
    values: _Values = {}
    wrong = False
    for name, here, entry in check.entries(node, path):
        if name not in _KEYS:
            del check.origins[here]
            say_unknown(check, name, here, _KEYS, entry.origin)
            continue
        value = _READERS[name](check, here, entry)
        wrong = wrong or value is None
        if value is not None:
            values[name] = value
    _check_together(check, path, node, values, wrong=wrong)
    values.setdefault("on", list(DEFAULT_STATES))
    values.setdefault("timeout", TIMEOUT)
    values.setdefault("retries", RETRIES)
    return values


def _check_together(
    check: Checker, path: str, node: nodes.Mapping, values: _Values, *, wrong: bool
) -> None:
    both = [name for name in ("command", "webhook") if name in node.entries]
    if len(both) == 2:
        message = "a target is a `command` or a `webhook`, this is both"
        check.say("impossible-combination", path, message, node.origin, "make it two targets")
    elif not both and not wrong:
        message = "a target needs a `command` or a `webhook`"
        check.say("missing-key", path, message, node.origin, "add `command: [PROGRAM, WORD]`")
    for name, owner in (("env", "command"), ("headers", "webhook")):
        if name in values and len(both) == 1 and owner not in both:
            message = f"only a `{owner}` has it, this is a `{both[0]}`"
            origin = node.entries[name].origin
            check.say("impossible-combination", f"{path}.{name}", message, origin, "remove it")


def _name(check: Checker, path: str, entry: Entry) -> JsonValue:
    return check.scalar(path, entry.value, scalars.name)


def _command(check: Checker, path: str, entry: Entry) -> JsonValue:
    node = entry.value
    if not isinstance(node, Sequence) or not node.items:
        check.say(
            "wrong-type", path, "a list of words is expected: no shell splits them", node.origin,
            f"write command: [{'PROGRAM, WORD'}]",
        )  # fmt: skip
        return None
    arguments: list[JsonValue] = []
    for item in node.items:
        word = check.scalar(path, item, scalars.line)
        if word is None:
            return None
        is_reference = word.startswith(("env:", "cmd:")) or re.fullmatch(scalars.REFERENCE, word)
        if is_reference or holds_secret(word):
            check.say(
                "secret-in-clear", path, "would put a secret into the command line", item.origin,
                "give it under `env`, as a reference: env:NAME, file:PATH or cmd:COMMAND",
            )  # fmt: skip
            return None
        arguments.append(word)
    program = str(arguments[0])
    if "/" in program or program[0] in "~.":
        arguments[0] = absolute(program, node.items[0].origin)
    return arguments


def _webhook(check: Checker, path: str, entry: Entry) -> JsonValue:
    value = check.scalar(path, entry.value, _url)
    return None if value is None else absolute_reference(value, entry.value.origin)


def _url(node: Scalar) -> str:
    value = scalars.line(node)
    if re.fullmatch(scalars.REFERENCE, value):
        return value
    holds_key = "?" in value or any(host in value for host in _KEYED_HOSTS)
    if holds_key and value.startswith(("http://", "https://")):
        raise ScalarError(
            "this URL holds a key, or may: a person who has it can post",
            "give the whole URL as a reference: env:NAME, file:PATH or cmd:COMMAND",
            "secret-in-clear",
        )
    return scalars.url(node)


def _headers(check: Checker, path: str, entry: Entry) -> JsonValue:
    values = _TYPES["headers"].read(check, _KEYS["headers"], path, entry.value)
    for name, value in values.items() if isinstance(values, Mapping) else ():
        origin = check.origins.get(f"{path}.{name}", entry.origin)
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            _say_header(check, path, f"{scalars.quote_value(name)} is not a header's name", origin)
        elif name.lower() in _FIXED_HEADERS:
            _say_header(check, path, f"{name} is set for every request", origin)
        elif not str(value).isascii():
            _say_header(check, path, f"the value of {name} is not ASCII", origin)
        else:
            continue
        return None
    return values


def _say_header(check: Checker, path: str, message: str, origin: Origin) -> None:
    check.say("bad-value", path, message, origin)


def _env(check: Checker, path: str, entry: Entry) -> JsonValue:
    values = _TYPES["variables"].read(check, _KEYS["env"], path, entry.value)
    ours = (
        [name for name in values if name.startswith(_OURS)] if isinstance(values, Mapping) else []
    )
    if ours:
        message = f"{ours[0]}: variables that begin with {_OURS} are set by ernie-deploy"
        check.say("bad-variable", path, message, entry.origin, "give it another name")
        return None
    return values


def _on(check: Checker, path: str, entry: Entry) -> JsonValue:
    node = entry.value
    states: list[JsonValue] = []
    for item in node.items if isinstance(node, Sequence) else (node,):
        state = check.scalar(path, item, scalars.line)
        if state is None:
            return None
        if state not in STATES:
            message = f"{scalars.quote_value(state)} is not known"
            remedy = f"one of: {', '.join(STATES)}"
            check.say("unknown-value", path, message, item.origin, remedy)
            return None
        if state not in states:
            states.append(state)
    if not states:
        check.say("empty-value", path, "is empty", node.origin, "name states, or remove the key")
        return None
    return states


def _timeout(check: Checker, path: str, entry: Entry) -> JsonValue:
    return check.scalar(path, entry.value, _seconds)


def _seconds(node: Scalar) -> float | int:
    seconds = scalars.duration(node)
    if not 0 < seconds <= LONGEST_TIMEOUT:
        message = f"{seconds} s is not between 0 and {LONGEST_TIMEOUT}"
        raise ScalarError(message, code="out-of-range")
    return seconds


def _retries(check: Checker, path: str, entry: Entry) -> JsonValue:
    return check.scalar(
        path, entry.value, lambda node: scalars.parse_integer(node, 0, MOST_RETRIES)
    )


_READERS: Mapping[str, _Reader] = {
    "name": _name,
    "command": _command,
    "env": _env,
    "webhook": _webhook,
    "headers": _headers,
    "on": _on,
    "timeout": _timeout,
    "retries": _retries,
}

_TEXTS: JsonObject = {"type": ["string", "number", "boolean", "null"]}
_STATE: JsonObject = {"anyOf": [{"enum": list(STATES)}, VARIABLE]}
_TARGET: JsonObject = {
    "type": "object",
    "additionalProperties": False,
    "oneOf": [{"required": ["command"]}, {"required": ["webhook"]}],
    "properties": {
        "name": {"type": ["string", "integer"]},
        "command": {"type": "array", "minItems": 1, "items": WRITTEN},
        "env": {"type": "object", "additionalProperties": _TEXTS},
        "webhook": {"type": "string", "pattern": r"^(https?://|env:|file:|cmd:|.*\$\{)"},
        "headers": {"type": "object", "additionalProperties": _TEXTS},
        "on": {"anyOf": [_STATE, {"type": "array", "minItems": 1, "items": _STATE}]},
        "timeout": {"type": ["number", "string"]},
        "retries": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10}, VARIABLE]},
    },
}
_SCHEMA: JsonObject = {"type": "array", "maxItems": MOST_TARGETS, "items": _TARGET}

NOTIFY = value_type("notify", _notify, _SCHEMA)
"""The type; its value is a list of objects with the fields of `plan.model.NotifyTarget`."""
