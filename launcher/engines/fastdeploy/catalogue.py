"""FastDeploy's command line per release, read from `data/flags-<line>.json`.

The data were dumped from each release's own parser; see the `header` of each file.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.engines.options import Action, Kind, Option, OptionTable, canonical
from launcher.json_values import (
    JsonObject,
    JsonValue,
    at,
    list_at,
    object_at,
    text_at,
)

if TYPE_CHECKING:
    from launcher.engines.base import Release

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


@dataclass(frozen=True)
class Variable:
    """A variable that FastDeploy reads, in release `lines`; its default by line.

    `source` is the file that reads it.
    """

    name: str
    meaning: str
    lines: tuple[str, ...]
    defaults: Mapping[str, str]
    source: str = ""


def texts_at(value: JsonValue, *path: str | int) -> tuple[str, ...]:
    """The list of texts below `path`."""
    return tuple(str(item) for item in list_at(value, *path))


def load(name: str) -> JsonObject:
    """A data file of this folder, parsed."""
    return _load(name)


@functools.lru_cache(maxsize=32)
def _load(name: str) -> JsonObject:
    return object_at(json.loads((DATA / name).read_text(encoding="utf-8")))


def catalogue_key(release: Release) -> str:
    """What the functions below call `line`: the version where the installed package was asked for
    its options, else the release line.
    """
    from launcher.engines.fastdeploy.question import answer_of

    return release.version if answer_of(release.version) is not None else release.line


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


def table(line: str) -> OptionTable:
    """Every option of release line `line`, or of the installed version of that name."""
    from launcher.engines.fastdeploy.question import answer_of

    answer = None if line in LINES else answer_of(line)
    return answer.table if answer is not None else _table(nearest_line(line))


@functools.lru_cache(maxsize=8)
def _table(line: str) -> OptionTable:
    entries = list_at(_load(f"flags-{line}.json"), "options")
    return OptionTable.of("FastDeploy", line, (_option(entry) for entry in entries))


def lines_with(name: str) -> tuple[str, ...]:
    """The release lines that have the option called `name` (any spelling)."""
    return tuple(line for line in LINES if canonical(name) in _table(line).options)


def where_else(name: str, line: str) -> str | None:
    """The sentence that says which releases have an option, None where no or this one has it."""
    have = lines_with(name)
    return None if not have or line in have else history(name, line)


def history(name: str, line: str) -> str:
    """When the option came or went, as seen from `line` that lacks it."""
    have = lines_with(name)
    if not have:
        return "no known release has it"
    if line not in LINES and is_catalogued(line):
        return f"wheels of {nearest_line(line)} differ in it; it is in {', '.join(have)}"
    if not is_catalogued(line):
        return f"it exists in {', '.join(have)}, and not in the installed {line}"
    if have[0] > line:
        return f"it exists from {have[0]}"
    if have[-1] < line:
        gone = LINES[LINES.index(have[-1]) + 1]
        return f"it was removed in {gone}"
    return f"it exists in {', '.join(have)}"


def late_choices(line: str) -> Mapping[str, tuple[str, ...]]:
    """Words that the release checks only after the model was looked up, by option.

    Those of a release that is not catalogued are not known: none is refused.
    """
    if not is_catalogued(line):
        return {}
    line = nearest_line(line)
    choices = object_at(_load("late.json"), "choices")
    return {
        name: texts_at(entry, "values", line)
        for name, entry in choices.items()
        if line in object_at(entry, "values")
    }


def comma_lists() -> frozenset[str]:
    """Options among the late choices that take several words with commas between."""
    choices = object_at(_load("late.json"), "choices")
    return frozenset(name for name, entry in choices.items() if at(entry, "comma_list"))


def speculative_methods(line: str) -> tuple[str, ...] | None:
    """Methods of `--speculative-config`; None where the release is not catalogued."""
    if not is_catalogued(line):
        return None
    return texts_at(_load("late.json"), "speculative", "methods", nearest_line(line))


def shell_options(line: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options that the release pastes into its shell command: bare, and between single quotes."""
    entry, near = object_at(_load("late.json"), "shell"), nearest_line(line)
    return texts_at(entry, "unquoted", near), texts_at(entry, "single_quoted", near)


@functools.lru_cache(maxsize=1)
def environment() -> Mapping[str, Variable]:
    """FastDeploy's environment variables by name, as in `data/environment.json`."""
    variables = (_variable(entry) for entry in list_at(_load("environment.json"), "variables"))
    return {variable.name: variable for variable in variables}


def environment_default(name: str, line: str) -> str | None:
    """The default of variable `name` in release `line`; None if the release does not have it."""
    from launcher.engines.fastdeploy.question import answer_of

    answer = None if line in LINES else answer_of(line)
    if answer is not None and name in answer.variables:
        return answer.variables[name]
    variable = environment().get(name)
    return variable.defaults.get(nearest_line(line)) if variable else None


def reads_variable(name: str, line: str) -> bool:
    """Whether release `line` reads the variable `name`.

    envs.py of an installed package that was asked is the truth for what is declared there; other
    files read variables too, of which only the catalogue knows.
    """
    from launcher.engines.fastdeploy.question import answer_of

    answer = None if line in LINES else answer_of(line)
    if answer is not None and name in answer.variables:
        return True
    if name not in environment():
        return False
    if answer is not None and environment()[name].source == "fastdeploy/envs.py":
        return False
    return nearest_line(line) in environment()[name].lines


@dataclass(frozen=True)
class Answer:
    """What an installed package said of itself: options, variables with defaults, parser names.

    `parsers` maps `reasoning` and `tool` to names, None where the package did not tell.
    """

    version: str
    table: OptionTable
    variables: Mapping[str, str | None]
    parsers: Mapping[str, tuple[str, ...] | None]


def _variable(entry: JsonValue) -> Variable:
    defaults = object_at(entry, "defaults")
    return Variable(
        name=text_at(entry, "name"),
        meaning=text_at(entry, "meaning"),
        lines=texts_at(entry, "in"),
        source=text_at(entry, "source"),
        defaults={line: str(value) for line, value in defaults.items() if value is not None},
    )


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
