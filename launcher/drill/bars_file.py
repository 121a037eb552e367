"""`--bars FILE`: an operator's own bars."""

from __future__ import annotations

from pathlib import Path

import yaml

from launcher import files
from launcher.codec import DecodeError, decode, encode
from launcher.drill.bar import Bar
from launcher.drill.scenarios import SCENARIOS
from launcher.errors import UsageError
from launcher.json_values import object_at


def read_bars(path: Path) -> dict[str, Bar]:
    """The bars of a YAML file, by scenario; a value that it does not name stays as it is.

    Raises:
        UsageError: the file is not one, or names no scenario or no value of a bar.
    """
    by_name = {one.name: one.bar for one in SCENARIOS}
    try:
        document = yaml.safe_load(files.read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise _wrong(path, f"it cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise _wrong(path, "it is not a map of scenarios")
    bars = {}
    for name, values in document.items():
        if name not in by_name:
            raise _wrong(path, f"no scenario is called {name!r}")
        if not isinstance(values, dict):
            raise _wrong(path, f"{name}: expected a map, as `{{detection: 0.2}}`")
        try:
            merged = {**object_at(encode(by_name[name])), **{str(k): v for k, v in values.items()}}
            bars[name] = decode(Bar, merged, name)
        except DecodeError as error:
            raise _wrong(path, str(error)) from None
    return bars


def _wrong(path: Path, reason: str) -> UsageError:
    return UsageError(
        UsageError.of(
            "bad-bars", f"the file of bars cannot be used: {reason}", str(path),
            "`ernie-deploy drill --list --json` shows names and values",
        ).problems
    )  # fmt: skip
