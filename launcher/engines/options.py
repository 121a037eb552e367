"""An engine's command line as data: what an option takes, how a profile's value becomes words.

FastDeploy's options come from its releases' own parsers, vLLM's are asked of the installed vLLM,
those of `transformers serve` from its signature; all end as an `OptionTable`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from launcher.json_values import JsonValue, is_list
from launcher.nearest import did_you_mean, nearest

Action = Literal["store", "switch", "boolean", "append", "help"]
Kind = Literal["int", "float", "str", "bool", "json", "json-or-word", "int-list", "str-list"]

KINDS: Mapping[str, Kind] = {kind: kind for kind in get_args(Kind)}
ACTIONS: Mapping[str, Action] = {action: action for action in get_args(Action)}

_EXPECTED: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "json": "a mapping, or JSON text of an object",
    "json-or-word": "a word, a mapping, or JSON text of an object",
    "int-list": "whole numbers: one, a list, or text with commas",
    "str-list": "words: one, a list, or text with commas",
}


@dataclass(frozen=True)
class Option:
    """One option of a command line.

    `name` is the profile's spelling (kebab-case, no dashes in front); `flags` are the parser's.
    `action`: `store` takes a value, `switch` none, `boolean` has a `--no-` form, `append` may be
    repeated. `default` is what the parser holds, `effective_default` what that becomes later,
    where the two differ. `repeatable` takes several words (argparse's `nargs`). `object_only`:
    JSON has to be an object.
    """

    name: str
    flags: tuple[str, ...]
    action: Action = "store"
    kind: Kind = "str"
    default: JsonValue = None
    effective_default: str | None = None
    choices: tuple[str, ...] | None = None
    repeatable: bool = False
    object_only: bool = True
    deprecated: bool = False
    deprecation_note: str | None = None
    meaning: str = ""

    @property
    def flag(self) -> str:
        """The spelling that is used: the first long one."""
        return next((f for f in self.flags if f.startswith("--")), self.flags[0])

    @property
    def off_flag(self) -> str | None:
        """The `--no-` form of a boolean option."""
        return next((f for f in self.flags if f.startswith("--no-")), None)

    @property
    def expects(self) -> str:
        """What the option takes, for a message."""
        if self.action in ("switch", "boolean"):
            return _EXPECTED["bool"]
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return _EXPECTED[self.kind]


def canonical(key: str) -> str:
    """The profile's spelling of a flag however it was written: `--load_choices`, `load-choices`."""
    return key.lstrip("-").replace("_", "-")


@dataclass(frozen=True)
class OptionTable:
    """Every option of one release's command line, by canonical name."""

    engine: str
    version: str
    options: Mapping[str, Option] = field(default_factory=dict)

    @classmethod
    def of(cls, engine: str, version: str, options: Iterable[Option]) -> OptionTable:
        """The table of `options`."""
        return cls(engine, version, {option.name: option for option in options})

    def get(self, key: str) -> Option | None:
        """The option that a profile calls `key`, None if the release has none."""
        return self.options.get(canonical(key))

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __iter__(self) -> Iterator[Option]:
        return iter(self.options.values())

    def nearest(self, key: str) -> str | None:
        """The option whose name looks most like `key`."""
        return nearest(canonical(key), self.options, cutoff=0.7)


def wrong_value(option: Option, value: JsonValue) -> str | None:
    """Why `value` (as read from a profile) cannot be given to `option`; None if it can."""
    if value is None:
        return None if option.default is None else f"null is not {option.expects}"
    if option.action in ("switch", "boolean"):
        return None if isinstance(value, bool) else f"{_format_default(value)} is not true or false"
    if option.kind == "bool":
        return _wrong_bool(value)
    if option.repeatable or option.action == "append":
        items = list(value) if is_list(value) else [value]
        if not items:
            return "an empty list is not a value"
        return next((r for r in (_wrong_item(option, item) for item in items) if r), None)
    if option.kind in ("int-list", "str-list"):
        return _wrong_list(option, value)
    if option.kind in ("json", "json-or-word"):
        return _wrong_json(option, value)
    return _wrong_item(option, value)


def option_arguments(option: Option, value: JsonValue) -> tuple[str, ...]:
    """The argv words for `value`, the flag first; empty where nothing need be said.

    `value` was accepted by `wrong_value`. A value that looks like a flag is joined to its flag
    with `=`, or argparse would take it for one.
    """
    if value is None:
        return ()
    if option.action == "switch":
        return (option.flag,) if value else ()
    if option.action == "boolean":
        if value:
            return (option.flag,)
        return (option.off_flag,) if option.off_flag else ()
    if option.action == "append":
        items = list(value) if is_list(value) else [value]
        return tuple(word for item in items for word in _pair(option.flag, text(option, item)))
    if option.repeatable:
        items = list(value) if is_list(value) else [value]
        return (option.flag, *(text(option, item) for item in items))
    if option.kind == "bool" and option.default is False and value is False:
        # A parser that reads such a value as text takes the word "False" for true.
        return ()
    return _pair(option.flag, text(option, value))


def text(option: Option, value: JsonValue) -> str:
    """One value as the word the parser reads."""
    if option.kind in ("int-list", "str-list") and is_list(value):
        return ",".join(str(item) for item in value)
    if isinstance(value, Mapping) or is_list(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, bool):
        return "True" if value else "False"
    return str(value)


def _pair(flag: str, value: str) -> tuple[str, ...]:
    if value.startswith("-") and not _NEGATIVE.fullmatch(value):
        return (f"{flag}={value}",)
    return (flag, value)


_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+", re.ASCII)
"""What argparse takes for a value though it begins like a flag; -1e+16 it does not."""


def _wrong_bool(value: JsonValue) -> str | None:
    if isinstance(value, bool) or str(value) in ("True", "true", "1"):
        return None
    return f"{_format_default(value)} is not true or false"


def _wrong_item(option: Option, value: JsonValue) -> str | None:
    if isinstance(value, str) and "\0" in value:
        return "a NUL character cannot be given on a command line"
    if isinstance(value, (bool, Mapping)) or is_list(value):
        return f"{_format_default(value)} is not {option.expects}"
    if option.repeatable and isinstance(value, str) and value.startswith("-"):
        return f"{_format_default(value)} looks like a flag and cannot be one of several values"
    if option.kind in ("int", "int-list"):
        try:
            if isinstance(value, float):
                raise ValueError
            int(str(value))
        except ValueError:
            return f"{_format_default(value)} is not a whole number"
    elif option.kind == "float":
        try:
            if not math.isfinite(float(str(value))):
                raise ValueError
        except ValueError:
            return f"{_format_default(value)} is not a number"
    if option.choices and str(value) not in option.choices:
        meant = did_you_mean(value, option.choices)
        return f"{_format_default(value)} is not one of {', '.join(option.choices)}{meant}"
    return None


def _wrong_list(option: Option, value: JsonValue) -> str | None:
    if is_list(value):
        items = value
        if any("," in str(item) for item in items):
            return "an item with a comma would become two"
    elif isinstance(value, Mapping):
        return f"{_format_default(value)} is not {option.expects}"
    else:
        items = str(value).split(",") if isinstance(value, str) else [value]
    if not items or any(str(item).strip() == "" for item in items):
        return "an empty item is not a value"
    return next((r for r in (_wrong_item(option, item) for item in items) if r), None)


def _wrong_json(option: Option, value: JsonValue) -> str | None:
    if isinstance(value, Mapping) or (is_list(value) and not option.object_only):
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            return f"the value cannot be written as JSON: {error}"
        return None
    if not isinstance(value, str):
        return f"{_format_default(value)} is not {option.expects}"
    if "\0" in value:
        return "a NUL character cannot be given on a command line"
    try:
        parsed = json.loads(value)
    except ValueError as error:
        if option.kind == "json-or-word" and not value.lstrip().startswith(("{", "[")):
            return None
        return f"the JSON does not parse: {error}"
    except RecursionError:
        return "the JSON is nested too deeply"
    if option.kind == "json" and option.object_only and not isinstance(parsed, dict):
        return f"{_format_default(value)} is JSON but not an object"
    return None


def _format_default(value: JsonValue) -> str:
    formatted = repr(value)
    return formatted if len(formatted) <= 60 else f"{formatted[:57]}..."
