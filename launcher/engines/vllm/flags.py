"""vLLM's command line: asked of the installed vLLM's own parser, remembered per version.

Importing vLLM's parser takes seconds, so the answer is a file: shipped for one version, cached for
others (`remember`), and asked for with `QUERY` by who may start processes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from launcher import files
from launcher.engines.options import Action, Kind, Option, OptionTable, canonical
from launcher.json_values import JsonObject, JsonValue, at, list_at, text_at

DATA = Path(__file__).parent / "data"

FORMAT = 1
"""Of the answer to `QUERY`; a cached answer of another format is asked for again."""

MARK = "ernie-deploy-vllm-flags:"
"""Starts the line that holds the answer; vLLM prints others."""

QUERY = r"""
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
def probe(kind):
    gave = {}
    for name, text in (("json", "{}"), ("int", "7"), ("float", "0.5"), ("word", "word")):
        try:
            gave[name] = type(kind(text)).__name__
        except Exception:
            gave[name] = None
    return gave
def plain(value):
    try:
        json.dumps(value)
        return value
    except (TypeError, ValueError):
        return None
options = []
for action in make(Parser())._actions:
    if not action.option_strings:
        continue
    options.append({
        "flags": list(action.option_strings),
        "action": type(action).__name__,
        "nargs": action.nargs,
        "default": plain(action.default),
        "choices": [str(c) for c in action.choices] if action.choices else None,
        "takes": probe(action.type) if callable(action.type) else None,
        "deprecated": bool(getattr(action, "deprecated", False)),
    })
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
"""Run as `python -c QUERY MARK`; prints one line: the mark, then JSON."""

_ACTIONS: Mapping[str, Action] = {
    "_StoreTrueAction": "switch",
    "_StoreFalseAction": "switch",
    "_StoreConstAction": "switch",
    "BooleanOptionalAction": "boolean",
    "_AppendAction": "append",
    "_HelpAction": "help",
    "_VersionAction": "help",
}


def cached_answer(version: str, cache_dir: Path | None = None) -> JsonObject | None:
    """The answer for exactly this version: cached, shipped, or None if it was not asked yet."""
    for path in (_cached(version, cache_dir), DATA / f"flags-{_safe(version)}.json"):
        answer = _read(path) if path else None
        if answer is not None:
            return answer
    return None


def parse(output: str) -> JsonObject:
    """The answer in the output of `QUERY`.

    Raises:
        ValueError: it is not there.
    """
    for line in output.splitlines():
        if line.startswith(MARK):
            answer: JsonValue = json.loads(line[len(MARK) :])
            if isinstance(answer, Mapping):
                return answer
    raise ValueError("vLLM's parser did not answer")


def remember(answer: JsonObject, cache_dir: Path) -> Path:
    """Keep an answer for the next time; returns its file (0600)."""
    path = _cached(str(answer["version"]), cache_dir)
    if path is None:
        raise ValueError("no cache folder")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_atomically(path, json.dumps(answer))
    return path


def table(answer: JsonObject) -> OptionTable:
    """The options of an answer."""
    return OptionTable.of("vLLM", str(answer["version"]), map(_option, list_at(answer, "options")))


@lru_cache(maxsize=1)
def shipped() -> JsonObject:
    """The newest answer that travels with the code."""
    files = sorted(DATA.glob("flags-*.json"), key=lambda path: _number(path.stem[6:]))
    answer = _read(files[-1])
    if answer is None:
        raise ValueError(f"{files[-1]} cannot be read")
    return answer


def _cached(version: str, cache_dir: Path | None) -> Path | None:
    return cache_dir / f"vllm-flags-{_safe(version)}.json" if cache_dir else None


def _read(path: Path) -> JsonObject | None:
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(answer, dict) or answer.get("format") != FORMAT:
        return None
    return answer


def _safe(version: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]", "_", version)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _option(raw: JsonValue) -> Option:
    flags, choices = _texts(raw, "flags"), _texts(raw, "choices")
    long = next((f for f in flags if f.startswith("--")), flags[0])
    action = _ACTIONS.get(text_at(raw, "action"), "store")
    return Option(
        name=canonical(long),
        flags=flags,
        action=action,
        kind=_kind(at(raw, "takes")),
        default=at(raw, "default"),
        choices=choices or None,
        repeatable=at(raw, "nargs") in ("+", "*"),
        object_only=False,
        deprecated=at(raw, "deprecated") is True,
    )


def _texts(raw: JsonValue, key: str) -> tuple[str, ...]:
    return tuple(str(item) for item in list_at(raw, key))


def _kind(takes: JsonValue) -> Kind:
    """What a parser's type function takes, by what it gave for four samples."""
    if takes is None:
        return "str"
    if at(takes, "json") not in (None, "str"):
        return "json-or-word" if at(takes, "word") else "json"
    if at(takes, "word") is not None:
        return "str"
    if at(takes, "float") is not None:
        return "float"
    return "int" if at(takes, "int") is not None else "str"


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
