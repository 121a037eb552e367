"""FastDeploy's command line as its installed package describes it, remembered per version.

A release that the catalogue does not know is judged by this; so are the wheels of release line 2.3
and the pre-releases, whose options depend on the day of the build. No GPU is needed: the package's
own parser is made and read, nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from packaging.version import InvalidVersion, Version

from launcher import paths
from launcher.engines.fastdeploy.release_data import LINES, catalogued_table
from launcher.engines.options import Option, OptionTable
from launcher.engines.parser_question import DESCRIBE, ParserAnswers, option_of
from launcher.json_values import (
    JsonObject,
    JsonValue,
    integer_at,
    is_list,
    list_at,
    object_at,
    text_at,
    texts_at,
)

FORMAT = 1
"""Of the answer to `QUERY`; a cached answer of another format is asked for again."""

MARK = "ernie-deploy-fastdeploy-flags:"
"""Starts the line that holds the answer; FastDeploy prints others."""

VARYING_LINES = ("2.3",)
"""Catalogued lines whose options differ between wheels: `--api-key`, `--router` and four more are
on develop and not on the release branch of 2.3 (0df488c7)."""

QUERY = (
    r"""
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
"""
    + DESCRIBE
    + r"""
options = []
for action in make_arg_parser(FlexibleArgumentParser())._actions:
    if not action.option_strings:
        continue
    text = str(action.help or "")[:300]
    options.append({**describe(action), "required": action.required, "help": text})
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
)
"""Run as `python -c QUERY MARK` in an empty folder; prints one line: the mark, then JSON."""


@dataclass(frozen=True)
class Answer:
    """What an installed package said of itself: options, variables with defaults, parser names.

    `parsers` maps `reasoning` and `tool` to names, None where the package did not tell.
    """

    version: str
    table: OptionTable
    variables: Mapping[str, str | None]
    parsers: Mapping[str, tuple[str, ...] | None]


def is_asked(version: str) -> bool:
    """Whether the catalogue alone does not settle the options of `version`."""
    try:
        parsed = Version(version)
    except InvalidVersion:
        return False
    line = f"{parsed.release[0]}.{(*parsed.release, 0)[1]}"
    return line not in LINES or line in VARYING_LINES or parsed.is_prerelease


def _is_whole(answer: JsonObject) -> bool:
    return (
        answer.get("format") == FORMAT
        and is_list(answer.get("options"))
        and isinstance(answer.get("variables"), Mapping)
        and isinstance(answer.get("parsers"), Mapping)
    )


ANSWERS = ParserAnswers("FastDeploy", "fastdeploy-flags", MARK, FORMAT, _is_whole)
parse, remember = ANSWERS.parse, ANSWERS.remember


def cached_answer(version: str, cache_dir: Path | None = None) -> JsonObject | None:
    """The answer for exactly this version; an empty one where the catalogue settles it."""
    if not is_asked(version):
        return {}
    return ANSWERS.read(ANSWERS.path(version, cache_dir or paths.cache()))


def answer_of(version: str) -> Answer | None:
    """What the installed package said of itself, None where it was not asked (or need not be)."""
    if not is_asked(version):
        return None
    path = ANSWERS.path(version, paths.cache())
    try:
        modified = path.stat().st_mtime_ns
    except OSError:
        return None
    return _answer(version, path, modified)


@lru_cache(maxsize=4)
def _answer(version: str, path: Path, modified: int) -> Answer | None:
    """The answer in a file; asked for with every option and variable, so it is read once."""
    raw = ANSWERS.read(path)
    if raw is None:
        return None
    return Answer(
        version,
        OptionTable.of("FastDeploy", version, map(_option, list_at(raw, "options"))),
        {
            name: None if value is None else str(value)
            for name, value in object_at(raw, "variables").items()
        },
        {
            kind: texts_at(raw, "parsers", kind) if is_list(names) else None
            for kind, names in object_at(raw, "parsers").items()
        },
    )


def _option(described: JsonValue) -> Option:
    option, text = option_of(described), text_at(described, "help")
    # What the catalogue says of the option beyond its parser still holds: its meaning.
    known_option = catalogued_table(LINES[-1]).get(option.name)
    deprecated = text_at(described, "action") == "DeprecatedOptionWarning"
    takes_nothing = integer_at(described, "nargs") == 0
    if option.action == "store" and (takes_nothing or deprecated):
        option = replace(option, action="switch")
    if takes_nothing:
        option = replace(option, kind="bool")
    return replace(
        option,
        deprecated=deprecated,
        deprecation_note=text[:120] if deprecated else None,
        meaning=known_option.meaning if known_option else text,
    )


class _Flags:
    """The flags, as what the installed release is asked (`launcher.engines.base.Question`)."""

    arguments = ("-c", QUERY, MARK)
    environment: Mapping[str, str] = {"DO_NOT_TRACK": "1", "CUDA_VISIBLE_DEVICES": ""}
    cached_answer = staticmethod(cached_answer)
    parse = staticmethod(parse)
    remember = staticmethod(remember)


QUESTION = _Flags()
