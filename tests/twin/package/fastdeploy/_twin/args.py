"""The command line of each release, with argparse's own errors and exit codes.

Table: releases/flags.json, dumped from the releases' own parsers. The parser class and its hidden
first stage for ``--config`` follow fastdeploy/utils.py (FlexibleArgumentParser).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from fastdeploy._twin import release


def nullable_str(value: str) -> str | None:
    return value or None


def comma_list_of_str(value: str) -> list[str] | None:
    return [item.strip() for item in value.split(",")] if value else None


def comma_list_of_int(value: str) -> list[int] | None:
    return [int(item) for item in value.split(",")] if value else None


def parse_quantization(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return {"quantization": value}


#: Defaults of 2.6 where multi_api_server starts several servers (openai/utils.py:347).
ALONE = {"workers": 1, "max_concurrency": 512}

TYPES: dict[str, Callable[[str], object]] = {
    "int": int,
    "float": float,
    "str": str,
    "str (argparse default)": str,
    "str; empty string becomes None": nullable_str,
    "json (json.loads)": json.loads,
    'json object, or bare word wrapped as {"quantization": word}': parse_quantization,
    "comma list of str": comma_list_of_str,
    "comma list of int": comma_list_of_int,
}


class DeprecatedOptionWarning(argparse.Action):
    """A store_true that warns on the console, as FastDeploy's deprecated switches do."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        sys.stderr.write(f"WARNING: Deprecated option is detected: {option_string}\n")
        setattr(namespace, self.dest, True)


class FlexibleArgumentParser(argparse.ArgumentParser):
    """argparse with a first-stage parser that reads defaults from a YAML file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._first = argparse.ArgumentParser(add_help=False, prog=self.prog)
        self._first.add_argument("--config", default=None)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        known_arguments, rest = self._first.parse_known_args(args)
        if known_arguments.config:
            self._take_file(known_arguments.config)
        return super().parse_args(rest, namespace)

    def _take_file(self, path: str) -> None:
        """Keys with dashes and unknown keys are dropped without a word, as the real one does."""
        import yaml

        with open(path, encoding="utf-8") as stream:
            document = yaml.safe_load(stream)
        actions = {action.dest: action for action in self._actions}
        for key, value in document.items():
            action = actions.get(key)
            if action is None or key == "help":
                continue
            if callable(action.type) and isinstance(value, (str, int, float)):
                # the real one only notes it in fastdeploy.log and keeps the raw value
                with contextlib.suppress(TypeError, ValueError):
                    value = action.type(str(value))
            action.default = value


def make_parser() -> FlexibleArgumentParser:
    """The parser of the installed release."""
    return add_options(FlexibleArgumentParser(prog="api_server.py"))


def add_options(parser: FlexibleArgumentParser) -> FlexibleArgumentParser:
    """Every option of the installed release; openai/utils.py calls it make_arg_parser."""
    groups: dict[str, Any] = {"options": parser}
    for option in release.table("flags"):
        group = groups.get(option["group"])
        if group is None:
            group = groups[option["group"]] = parser.add_argument_group(option["group"])
        group.add_argument(*option["flags"], **_keywords(option))
    return parser


def _keywords(option: dict[str, Any]) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "dest": option["dest"],
        "default": option["default"],
    }
    if release.at_least("2.6") and os.environ.get("FD_ENABLE_MULTI_API_SERVER") == "1":
        keywords["default"] = ALONE.get(option["dest"], option["default"])
    action = option["action"]
    if action == "store_true":
        keywords["action"] = "store_true"
        keywords["default"] = bool(option["default"])
    elif action == "store_true with deprecation warning":
        keywords |= {
            "action": DeprecatedOptionWarning,
            "nargs": 0,
            "default": bool(option["default"]),
        }
    elif action == "boolean_optional":
        keywords["action"] = argparse.BooleanOptionalAction
    else:
        keywords |= {"action": action, "type": TYPES[option["type"]]}
        if option["choices"]:
            keywords["choices"] = option["choices"]
        if option["nargs"]:
            keywords["nargs"] = option["nargs"]
    if action == "append":
        keywords.pop("nargs", None)
    return keywords
