"""What a FastDeploy release takes: its options, variables and words.

From the data files, and from the installed package where it was asked; see `question`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.engines.fastdeploy.question import answer_of
from launcher.engines.fastdeploy.release_data import (
    LINES,
    catalogued_table,
    is_catalogued,
    load,
    nearest_line,
)
from launcher.engines.options import OptionTable, canonical
from launcher.json_values import (
    JsonValue,
    at,
    list_at,
    object_at,
    text_at,
    texts_at,
)

if TYPE_CHECKING:
    from launcher.engines.base import Release


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


def catalogue_key(release: Release) -> str:
    """What the functions below call `line`: the version where the installed package was asked for
    its options, else the release line.
    """
    return release.version if answer_of(release.version) is not None else release.line


def table(line: str) -> OptionTable:
    """Every option of release line `line`, or of the installed version of that name."""
    answer = None if line in LINES else answer_of(line)
    return answer.table if answer is not None else catalogued_table(nearest_line(line))


def lines_with(name: str) -> tuple[str, ...]:
    """The release lines that have the option called `name` (any spelling)."""
    return tuple(line for line in LINES if canonical(name) in catalogued_table(line).options)


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
    choices = object_at(load("late.json"), "choices")
    return {
        name: texts_at(entry, "values", line)
        for name, entry in choices.items()
        if line in object_at(entry, "values")
    }


def comma_lists() -> frozenset[str]:
    """Options among the late choices that take several words with commas between."""
    choices = object_at(load("late.json"), "choices")
    return frozenset(name for name, entry in choices.items() if at(entry, "comma_list"))


def speculative_methods(line: str) -> tuple[str, ...] | None:
    """Methods of `--speculative-config`; None where the release is not catalogued."""
    if not is_catalogued(line):
        return None
    return texts_at(load("late.json"), "speculative", "methods", nearest_line(line))


def shell_options(line: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Options that the release pastes into its shell command: bare, and between single quotes."""
    entry, near = object_at(load("late.json"), "shell"), nearest_line(line)
    return texts_at(entry, "unquoted", near), texts_at(entry, "single_quoted", near)


@functools.lru_cache(maxsize=1)
def environment() -> Mapping[str, Variable]:
    """FastDeploy's environment variables by name, as in `data/environment.json`."""
    variables = (_variable(entry) for entry in list_at(load("environment.json"), "variables"))
    return {variable.name: variable for variable in variables}


def environment_default(name: str, line: str) -> str | None:
    """The default of variable `name` in release `line`; None if the release does not have it."""
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
    answer = None if line in LINES else answer_of(line)
    if answer is not None and name in answer.variables:
        return True
    if name not in environment():
        return False
    if answer is not None and environment()[name].source == "fastdeploy/envs.py":
        return False
    return nearest_line(line) in environment()[name].lines


def _variable(entry: JsonValue) -> Variable:
    defaults = object_at(entry, "defaults")
    return Variable(
        name=text_at(entry, "name"),
        meaning=text_at(entry, "meaning"),
        lines=texts_at(entry, "in"),
        source=text_at(entry, "source"),
        defaults={line: str(value) for line, value in defaults.items() if value is not None},
    )
