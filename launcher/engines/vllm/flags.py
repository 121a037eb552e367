"""vLLM's command line: asked of the installed vLLM's own parser, remembered per version.

Importing vLLM's parser takes seconds, so the answer is a file: shipped for one version, cached for
others (`remember`), and asked for with `QUERY` by who may start processes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from launcher.engines.options import Option, OptionTable
from launcher.engines.parser_question import DESCRIBE, ParserAnswers, option_of
from launcher.json_values import JsonObject, JsonValue, list_at

DATA = Path(__file__).parent / "data"

FORMAT = 1
"""Of the answer to `QUERY`; a cached answer of another format is asked for again."""

MARK = "ernie-deploy-vllm-flags:"
"""Starts the line that holds the answer; vLLM prints others."""

QUERY = (
    r"""
import json, sys
def find(places):
    import importlib
    for module, name in places:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            pass
    raise SystemExit("cannot find any of %s" % (places,))
make = find([
    ("vllm.entrypoints.launchers.cli_args", "make_arg_parser"),
    ("vllm.entrypoints.openai.cli_args", "make_arg_parser"),
])
Parser = find([
    ("vllm.utils.argparse_utils", "FlexibleArgumentParser"),
    ("vllm.utils", "FlexibleArgumentParser"),
])
SAMPLES = {"json": "{}", "int": "7", "float": "0.5", "word": "word"}
"""
    + DESCRIBE
    + r"""
options = []
for action in make(Parser())._actions:
    if not action.option_strings:
        continue
    deprecated = bool(getattr(action, "deprecated", False))
    options.append({**describe(action), "deprecated": deprecated})
def registered(places):
    try:
        return sorted(find(places))
    except SystemExit:
        return None
parsers = {
    "reasoning": registered([("vllm.reasoning", "_REASONING_PARSERS_TO_REGISTER")]),
    "tool": registered([
        ("vllm.tool_parsers", "_TOOL_PARSERS_TO_REGISTER"),
        ("vllm.entrypoints.openai.tool_parsers", "_TOOL_PARSERS_TO_REGISTER"),
    ]),
}
import vllm
print("\n" + sys.argv[1] + json.dumps(
    {"format": 1, "version": vllm.__version__, "options": options, "parsers": parsers}))
"""
)
"""Run as `python -c QUERY MARK`; prints one line: the mark, then JSON."""

ANSWERS = ParserAnswers("vLLM", "vllm-flags", MARK, FORMAT)
SHIPPED = replace(ANSWERS, stem="flags")
"""The answers that travel with the code, in `DATA`."""


def cached_answer(version: str, cache_dir: Path | None = None) -> JsonObject | None:
    """The answer for exactly this version: cached, shipped, or None if it was not asked yet."""
    cached = ANSWERS.path(version, cache_dir) if cache_dir else None
    for path in (cached, SHIPPED.path(version, DATA)):
        answer = ANSWERS.read(path) if path else None
        if answer is not None:
            return answer
    return None


parse, remember = ANSWERS.parse, ANSWERS.remember


def table(answer: JsonObject) -> OptionTable:
    """The options of an answer."""
    return OptionTable.of("vLLM", str(answer["version"]), map(_option, list_at(answer, "options")))


@lru_cache(maxsize=1)
def shipped() -> JsonObject:
    """The newest answer that travels with the code."""
    files = sorted(DATA.glob("flags-*.json"), key=lambda path: _number(path.stem[6:]))
    answer = ANSWERS.read(files[-1])
    if answer is None:
        raise ValueError(f"{files[-1]} cannot be read")
    return answer


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _option(described: JsonValue) -> Option:
    return replace(option_of(described), object_only=False)


class _Flags:
    """The flags, as what the installed release is asked (`launcher.engines.base.Question`)."""

    arguments = ("-c", QUERY, MARK)
    environment: Mapping[str, str] = {
        "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    cached_answer = staticmethod(cached_answer)
    parse = staticmethod(parse)
    remember = staticmethod(remember)


QUESTION = _Flags()
