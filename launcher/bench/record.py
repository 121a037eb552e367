"""The last bench run of an instance or a service, from the folders that runs leave behind.

`bench` keeps the result of each run in `bench/NAME-TIME/result.json` of the state directory.
"""

from __future__ import annotations

import json
import os
import re

from launcher import files, paths
from launcher.bench.result import BenchRun, decode_run
from launcher.json_values import JsonValue, object_at, text_at

DOCUMENT = "result.json"
"""The name of a run's result in its folder."""
OWN = ("instance", "service")
"""Kinds of targets that a report is about; a URL may have an instance's name by chance."""


def last_run(name: str) -> BenchRun | None:
    """The newest whole run of the deployment called `name`; None where none was kept.

    Raises:
        ValueError: there is one, and it cannot be read.
        PreconditionError: the state directory is another user's.
    """
    root = paths.home() / "bench"
    pattern = re.compile(rf"{re.escape(name)}-(\d{{8}}-\d{{6}})(?:-(\d+))?")
    matches = [
        (match[1], int(match[2] or 0), match[0])
        for entry in (os.listdir(root) if paths.check_readable(root) else [])
        if (match := pattern.fullmatch(entry))
    ]
    for _, _, folder in sorted(matches, reverse=True):
        path = root / folder / DOCUMENT
        try:
            document: JsonValue = json.loads(files.read_text(path))
        except FileNotFoundError:
            continue  # the run goes on, or was interrupted
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from None
        target = object_at(document, "target")
        if text_at(target, "name") == name and text_at(target, "kind") in OWN:
            return decode_run(document, str(path))
    return None
