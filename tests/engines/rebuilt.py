"""FastDeploy's own argument parsers, rebuilt from the dumps of the real ones.

Independent of `launcher.engines.options`: what a plan puts on the command line is given to these.
"""

import argparse
import json
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

from launcher.engines.fastdeploy.release_data import DATA
from tests.support.decoded import JsonDict


class RefusedError(Exception):
    """The release's parser would exit with 2."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise RefusedError(message)


def _list(kind: Callable[[str], object]) -> Callable[[str], Any]:
    return lambda text: [kind(item) for item in text.split(",")]


def _word_or_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"quantization": text}


TYPES: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "str": str,
    "str (argparse default)": str,
    "str; empty string becomes None": lambda text: text or None,
    "comma list of str": _list(str),
    "comma list of int": _list(int),
    "json (json.loads)": json.loads,
    'json object, or bare word wrapped as {"quantization": word}': _word_or_json,
}


@cache
def parser(line: str) -> Parser:
    """The parser of release `line`."""
    command_parser = Parser(prog="api_server.py", add_help=False)
    for option in json.loads((DATA / f"flags-{line}.json").read_text())["options"]:
        if option["action"] == "help":
            continue
        keywords: JsonDict = {"dest": option["dest"], "default": option["default"]}
        if option["action"].startswith("store_true"):
            keywords["action"] = "store_true"
        elif option["action"] == "boolean_optional":
            keywords["action"] = argparse.BooleanOptionalAction
            option["flags"] = [f for f in option["flags"] if not f.startswith("--no-")]
        else:
            keywords |= {"type": TYPES[option["type"]], "action": option["action"]}
            keywords |= {k: option[k] for k in ("choices", "nargs") if option[k]}
        command_parser.add_argument(*option["flags"], **keywords)
    return command_parser


def parse(line: str, arguments: tuple[str, ...]) -> argparse.Namespace:
    """What release `line` makes of the words after the module's name.

    Raises:
        RefusedError: it would not take them.
    """
    try:
        return parser(line).parse_args(list(arguments))
    except (argparse.ArgumentError, ValueError) as error:
        raise RefusedError(str(error)) from error
