"""The data files of FastDeploy's releases: their options, and what else is known per release line.

The data were dumped from each release's own parser; see the `header` of each file.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path

from launcher.engines.options import Action, Kind, Option, OptionTable, canonical
from launcher.json_values import JsonObject, JsonValue, at, list_at, object_at, text_at, texts_at

DATA = Path(__file__).parent / "data"

LINES = ("2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6")
"""Release lines whose facts are known, oldest first."""

_KINDS: Mapping[str, Kind] = {
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "str (argparse default)": "str",
    "str; empty string becomes None": "str",
    "comma list of str": "str-list",
    "comma list of int": "int-list",
    "json (json.loads)": "json",
    'json object, or bare word wrapped as {"quantization": word}': "json-or-word",
}

_ACTIONS: Mapping[str, Action] = {
    "store": "store",
    "append": "append",
    "help": "help",
    "store_true": "switch",
    "store_true with deprecation warning": "switch",
    "boolean_optional": "boolean",
}


def load(name: str) -> JsonObject:
    """A data file of this folder, parsed."""
    return _load(name)


@functools.lru_cache(maxsize=32)
def _load(name: str) -> JsonObject:
    return object_at(json.loads((DATA / name).read_text(encoding="utf-8")))


def nearest_line(line: str) -> str:
    """The catalogued release line whose facts hold for `line` (or a version): itself, or the
    newest one that is not newer. What is older than all of them has the oldest one's.
    """
    if line in LINES:
        return line
    number = _number(line)
    fitting = [one for one in LINES if _number(one) <= number]
    return fitting[-1] if fitting else LINES[0]


def is_catalogued(line: str) -> bool:
    """Whether the facts of `line` (or a version) are its own and not those of a neighbour."""
    return any(_number(one) == _number(line) for one in LINES)


def at_least(line: str, first: str) -> bool:
    """Whether `line` (or a version) has what came with release line `first`."""
    return LINES.index(nearest_line(line)) >= LINES.index(first)


def _number(line: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", line)[:2])


@functools.lru_cache(maxsize=8)
def catalogued_table(line: str) -> OptionTable:
    """Every option of the catalogued release line `line`."""
    entries = list_at(load(f"flags-{line}.json"), "options")
    return OptionTable.of("FastDeploy", line, (_option(entry) for entry in entries))


def _option(entry: JsonValue) -> Option:
    flags, choices = texts_at(entry, "flags"), texts_at(entry, "choices")
    long = next((f for f in flags if f.startswith("--")), flags[0])
    kind = _KINDS[text_at(entry, "type")] if at(entry, "type") else "str"
    return Option(
        name=canonical(long),
        flags=flags,
        action=_ACTIONS[text_at(entry, "action")],
        kind="bool" if kind == "str" and isinstance(at(entry, "default"), bool) else kind,
        default=at(entry, "default"),
        effective_default=text_at(entry, "effective_default") or None,
        choices=choices or None,
        repeatable=at(entry, "nargs") == "+",
        deprecated=at(entry, "deprecated") is True,
        deprecation_note=text_at(entry, "deprecation_note") or None,
        meaning=text_at(entry, "meaning"),
    )
