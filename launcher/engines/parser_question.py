"""What an installed engine is asked about its own command line, and how the answer is kept.

An engine whose parser is argparse's is asked alike: a program in the engine's interpreter prints
one line, a mark and then JSON, with the options of the parser. The answer is a file, one for each
version, because importing an engine takes seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import files
from launcher.engines.options import Action, Kind, Option, canonical
from launcher.json_values import JsonObject, JsonValue, at, text_at, texts_at

DESCRIBE = r"""
def probe(kind):
    gave = {}
    for name, text in SAMPLES.items():
        try:
            gave[name] = type(kind(text)).__name__
        except BaseException:
            gave[name] = None
    return gave
def plain(value):
    try:
        json.dumps(value)
        return value
    except (TypeError, ValueError):
        return None
def describe(action):
    return {
        "flags": list(action.option_strings),
        "action": type(action).__name__,
        "nargs": action.nargs,
        "default": plain(action.default),
        "choices": [str(c) for c in action.choices] if action.choices else None,
        "takes": probe(action.type) if callable(action.type) else None,
    }
"""
"""Part of the program: `describe` an action of argparse. It needs `json`, and `SAMPLES`, which
names the texts that a type function is tried with: json, int, float, word, and as far as the
engine has lists, ints and words."""

ACTIONS: Mapping[str, Action] = {
    "_StoreTrueAction": "switch",
    "_StoreFalseAction": "switch",
    "_StoreConstAction": "switch",
    "BooleanOptionalAction": "boolean",
    "_AppendAction": "append",
    "_HelpAction": "help",
    "_VersionAction": "help",
}
"""argparse's classes; any other takes a value."""


@dataclass(frozen=True)
class ParserAnswers:
    """The answers of one engine: how they are found in an output, and where they are kept.

    `stem` begins the files' names. `form` is the number under `format` that an answer must have
    to be used again. `is_whole` says of an answer whether it has all its parts.
    """

    title: str
    stem: str
    mark: str
    form: int
    is_whole: Callable[[JsonObject], bool] = lambda answer: True

    def parse(self, output: str) -> JsonObject:
        """The answer in an output.

        Raises:
            ValueError: it is not there, or not whole.
        """
        for line in output.splitlines():
            if line.startswith(self.mark):
                answer: JsonValue = json.loads(line[len(self.mark) :])
                if isinstance(answer, Mapping) and self.is_whole(answer):
                    return answer
        raise ValueError(f"{self.title}'s parser did not answer")

    def path(self, version: str, folder: Path) -> Path:
        """The file of a version below `folder`."""
        return folder / f"{self.stem}-{re.sub(r'[^A-Za-z0-9.+-]', '_', version)}.json"

    def remember(self, answer: JsonObject, folder: Path) -> Path:
        """Keep an answer for the next time; returns its file (0600)."""
        path = self.path(str(answer["version"]), folder)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write_atomically(path, json.dumps(answer))
        return path

    def read(self, path: Path) -> JsonObject | None:
        """A kept answer; None where it is not there, or is none that can be used."""
        try:
            answer: JsonValue = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(answer, Mapping) or answer.get("format") != self.form:
            return None
        return answer if self.is_whole(answer) else None


def option_of(described: JsonValue) -> Option:
    """The option that `describe` described."""
    flags, choices = texts_at(described, "flags"), texts_at(described, "choices")
    long = next((flag for flag in flags if flag.startswith("--")), flags[0])
    return Option(
        name=canonical(long),
        flags=flags,
        action=ACTIONS.get(text_at(described, "action"), "store"),
        kind=kind_of(at(described, "takes")),
        default=at(described, "default"),
        choices=choices or None,
        repeatable=at(described, "nargs") in ("+", "*"),
        deprecated=at(described, "deprecated") is True,
    )


def kind_of(takes: JsonValue) -> Kind:
    """What a parser's type function takes, by what it gave for the samples."""
    if takes is None:
        return "str"
    if at(takes, "words") == "list":
        return "str-list"
    if at(takes, "ints") == "list":
        return "int-list"
    if at(takes, "json") not in (None, "str"):
        return "json-or-word" if at(takes, "word") else "json"
    if at(takes, "word") is not None:
        return "str"
    if at(takes, "float") is not None:
        return "float"
    return "int" if at(takes, "int") is not None else "str"
