"""FastDeploy's command line as its installed package describes it, remembered per version.

A release that the catalogue does not know is judged by this; so are the wheels of release line 2.3
and the pre-releases, whose options depend on the day of the build. No GPU is needed: the package's
own parser is made and read, nothing is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from launcher import files, paths
from launcher.engines.fastdeploy.catalogue import LINES, Answer, table
from launcher.engines.options import Action, Kind, Option, OptionTable, canonical

FORMAT = 1
"""Of the answer to `QUERY`; a cached answer of another format is asked for again."""

MARK = "ernie-deploy-fastdeploy-flags:"
"""Starts the line that holds the answer; FastDeploy prints others."""

VARYING_LINES = ("2.3",)
"""Catalogued lines whose options differ between wheels: `--api-key`, `--router` and four more are
on develop and not on the release branch of 2.3 (0df488c7)."""

QUERY = r"""
import json, os, sys
# What FastDeploy writes while it is imported stays in the folder that the caller removes.
os.environ["FD_LOG_DIR"] = os.path.join(os.getcwd(), "log")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.path.join(os.getcwd(), "metrics")
for name in ("log", "metrics"):
    os.makedirs(name, exist_ok=True)
sys.argv = sys.argv[:2]
import fastdeploy
from fastdeploy import envs
from fastdeploy.utils import FlexibleArgumentParser
from fastdeploy.entrypoints.openai.utils import make_arg_parser
SAMPLES = {"json": "{}", "int": "7", "float": "0.5", "word": "word", "ints": "1,2", "words": "a,b"}
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
options = []
for action in make_arg_parser(FlexibleArgumentParser())._actions:
    if not action.option_strings:
        continue
    options.append({
        "flags": list(action.option_strings),
        "action": type(action).__name__,
        "nargs": action.nargs,
        "default": plain(action.default),
        "choices": [str(c) for c in action.choices] if action.choices else None,
        "required": action.required,
        "takes": probe(action.type) if callable(action.type) else None,
        "help": str(action.help or "")[:300],
    })
variables = {}
for name, read in envs.environment_variables.items():
    try:
        value = read()
    except Exception:
        value = None
    if isinstance(value, bool):
        value = int(value)
    variables[name] = None if value is None or name in os.environ else str(value)
def registered(module, manager, attribute):
    try:
        import importlib
        return sorted(getattr(getattr(importlib.import_module(module), manager), attribute))
    except Exception:
        return None
parsers = {
    "reasoning": registered("fastdeploy.reasoning", "ReasoningParserManager", "reasoning_parsers"),
    "tool": registered(
        "fastdeploy.entrypoints.openai.tool_parsers", "ToolParserManager", "tool_parsers"
    ),
}
print("\n" + sys.argv[1] + json.dumps({
    "format": 1,
    "version": str(getattr(fastdeploy, "__version__", "")),
    "options": options,
    "variables": variables,
    "parsers": parsers,
}))
sys.stdout.flush()
os._exit(0)
"""
"""Run as `python -c QUERY MARK` in an empty folder; prints one line: the mark, then JSON."""


def is_asked(version: str) -> bool:
    """Whether the catalogue alone does not settle the options of `version`."""
    try:
        parsed = Version(version)
    except InvalidVersion:
        return False
    line = f"{parsed.release[0]}.{(*parsed.release, 0)[1]}"
    return line not in LINES or line in VARYING_LINES or parsed.is_prerelease


def cached_answer(version: str, cache_dir: Path | None = None) -> Mapping[str, Any] | None:
    """The answer for exactly this version; an empty one where the catalogue settles it."""
    if not is_asked(version):
        return {}
    path = _path(version, cache_dir or paths.cache())
    try:
        modified = path.stat().st_mtime_ns
    except OSError:
        return None
    return _read(path, modified)


def parse(output: str) -> Mapping[str, Any]:
    """The answer in the output of `QUERY`.

    Raises:
        ValueError: it is not there.
    """
    for line in output.splitlines():
        if line.startswith(MARK):
            answer: dict[str, Any] = json.loads(line[len(MARK) :])
            if not _is_whole(answer):
                break
            return answer
    raise ValueError("FastDeploy's parser did not answer")


def remember(answer: Mapping[str, Any], cache_dir: Path) -> Path:
    """Keep an answer for the next time; returns its file (0600)."""
    path = _path(str(answer["version"]), cache_dir)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_atomically(path, json.dumps(answer))
    return path


def answer_of(version: str) -> Answer | None:
    """What the installed package said of itself, None where it was not asked (or need not be)."""
    raw = cached_answer(version)
    return _answer(version, json.dumps(raw)) if raw else None


@lru_cache(maxsize=4)
def _read(path: Path, modified: int) -> Mapping[str, Any] | None:
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return answer if _is_whole(answer) else None


def _is_whole(answer: object) -> bool:
    return (
        isinstance(answer, dict)
        and answer.get("format") == FORMAT
        and isinstance(answer.get("options"), list)
        and isinstance(answer.get("variables"), dict)
        and isinstance(answer.get("parsers"), dict)
    )


def _path(version: str, cache_dir: Path) -> Path:
    return cache_dir / f"fastdeploy-flags-{re.sub(r'[^A-Za-z0-9.+-]', '_', version)}.json"


_ACTIONS: Mapping[str, Action] = {
    "_StoreTrueAction": "switch",
    "DeprecatedOptionWarning": "switch",
    "BooleanOptionalAction": "boolean",
    "_AppendAction": "append",
    "_HelpAction": "help",
}


@lru_cache(maxsize=4)
def _answer(version: str, text: str) -> Answer:
    raw = json.loads(text)
    options = [_option(entry) for entry in raw["options"]]
    parsers = {
        kind: tuple(str(name) for name in names) if isinstance(names, list) else None
        for kind, names in raw["parsers"].items()
    }
    return Answer(
        version, OptionTable.of("FastDeploy", version, options), raw["variables"], parsers
    )


def _option(raw: Mapping[str, Any]) -> Option:
    flags = tuple(raw["flags"])
    long = next((f for f in flags if f.startswith("--")), flags[0])
    name = canonical(long)
    # What the catalogue says of the option beyond its parser still holds: its meaning.
    known_option = table(LINES[-1]).get(name)
    deprecated = raw["action"] == "DeprecatedOptionWarning"
    return Option(
        name=name,
        flags=flags,
        action=_ACTIONS.get(raw["action"], "store" if raw["nargs"] != 0 else "switch"),
        kind="bool" if raw["nargs"] == 0 else _kind(raw["takes"]),
        default=raw["default"],
        choices=tuple(raw["choices"]) if raw["choices"] else None,
        repeatable=raw["nargs"] in ("+", "*"),
        deprecated=deprecated,
        deprecation_note=str(raw["help"])[:120] if deprecated else None,
        meaning=known_option.meaning if known_option else str(raw["help"]),
    )


def _kind(takes: Mapping[str, str | None] | None) -> Kind:
    """What a parser's type function takes, by what it gave for the samples of `QUERY`."""
    if takes is None:
        return "str"
    if takes["words"] == "list":
        return "str-list"
    if takes["ints"] == "list":
        return "int-list"
    if takes["json"] not in (None, "str"):
        return "json-or-word" if takes["word"] else "json"
    if takes["word"] is not None:
        return "str"
    if takes["float"] is not None:
        return "float"
    return "int" if takes["int"] is not None else "str"


class _Flags:
    """The flags, as what the installed release is asked (`launcher.engines.base.Question`)."""

    arguments = ("-c", QUERY, MARK)
    environment: Mapping[str, str] = {"DO_NOT_TRACK": "1", "CUDA_VISIBLE_DEVICES": ""}
    cached_answer = staticmethod(cached_answer)
    parse = staticmethod(parse)
    remember = staticmethod(remember)


QUESTION = _Flags()
