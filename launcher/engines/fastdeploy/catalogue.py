"""FastDeploy's command line per release, read from `data/flags-<line>.json`.

The data were dumped from each release's own parser; see the `header` of each file.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from launcher.engines.options import Action, Kind, Option, OptionTable, canonical

DATA = Path(__file__).parent / "data"

LINES = ("2.0", "2.1", "2.2", "2.3", "2.4")
"""Release lines whose command line is known, oldest first."""

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


def load(name: str) -> Any:
    """A data file of this folder, parsed."""
    return _load(name)


@functools.lru_cache(maxsize=32)
def _load(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=8)
def table(line: str) -> OptionTable:
    """Every option of release line `line`."""
    entries = _load(f"flags-{line}.json")["options"]
    return OptionTable.of("FastDeploy", line, (_option(entry) for entry in entries))


def lines_with(name: str) -> tuple[str, ...]:
    """The release lines that have the option called `name` (any spelling)."""
    return tuple(line for line in LINES if canonical(name) in table(line).options)


def where_else(name: str, line: str) -> str | None:
    """The sentence that says which releases have an option, None where no or this one has it."""
    have = lines_with(name)
    return None if not have or line in have else history(name, line)


def history(name: str, line: str) -> str:
    """When the option came or went, as seen from `line` that lacks it."""
    have = lines_with(name)
    if not have:
        return "no known release has it"
    if have[0] > line:
        return f"it exists from {have[0]}"
    if have[-1] < line:
        gone = LINES[LINES.index(have[-1]) + 1]
        return f"it was removed in {gone}"
    return f"it exists in {', '.join(have)}"


def late_choices(line: str) -> Mapping[str, tuple[str, ...]]:
    """Words that the release checks only after the model was looked up, by option."""
    choices = _load("late.json")["choices"]
    return {
        name: tuple(entry["values"][line])
        for name, entry in choices.items()
        if line in entry["values"]
    }


def comma_lists() -> frozenset[str]:
    """Options among the late choices that take several words with commas between."""
    choices = _load("late.json")["choices"]
    return frozenset(name for name, entry in choices.items() if entry.get("comma_list"))


def speculative_methods() -> tuple[str, ...]:
    """Methods of `--speculative-config`."""
    return tuple(_load("late.json")["speculative"]["methods"])


@functools.lru_cache(maxsize=1)
def environment() -> Mapping[str, Mapping[str, Any]]:
    """FastDeploy's environment variables by name, as in `data/environment.json`."""
    return {entry["name"]: entry for entry in _load("environment.json")["variables"]}


def environment_default(name: str, line: str) -> str | None:
    """The default of variable `name` in release `line`; None if the release does not have it."""
    entry = environment().get(name)
    value = (entry or {}).get("defaults", {}).get(line)
    return None if value is None else str(value)


def _option(entry: Mapping[str, Any]) -> Option:
    long = next((f for f in entry["flags"] if f.startswith("--")), entry["flags"][0])
    kind = _KINDS[entry["type"]] if entry["type"] else "str"
    return Option(
        name=canonical(long),
        flags=tuple(entry["flags"]),
        action=_ACTIONS[entry["action"]],
        kind="bool" if kind == "str" and isinstance(entry["default"], bool) else kind,
        default=entry["default"],
        effective_default=entry.get("effective_default"),
        choices=tuple(entry["choices"]) if entry["choices"] else None,
        repeatable=entry["nargs"] == "+",
        required=entry["required"],
        group=entry["group"],
        deprecated=entry["deprecated"],
        deprecation_note=entry.get("deprecation_note"),
        meaning=entry["meaning"],
    )
