"""The last bench run of an instance or a service, kept in its folder for `ernie-deploy report`."""

from __future__ import annotations

import json
from pathlib import Path

from launcher import files
from launcher.bench.result import BenchRun, decode_run, encode_run
from launcher.errors import Problem
from launcher.json_values import JsonValue

FILE = "bench.json"
LARGEST = 4 * 1024 * 1024
"""Bytes of the file; a run of 20 levels with an hour of samples has some 1 MiB."""


def keep(folder: Path, run: BenchRun) -> Problem | None:
    """Store `run` as the last one of the deployment in `folder`; why it could not be, or None."""
    if not folder.is_dir():
        return None  # it was removed while the bench ran: there is nothing to report on
    text = json.dumps(encode_run(run))
    if len(text) > LARGEST:
        problem = f"it has {len(text)} bytes, more than {LARGEST}"
        return _not_kept(folder, problem, "give the file of --output to `report --bench`")
    try:
        files.write_atomically(folder / FILE, text)
    except OSError as error:
        remedy = "free some disk space, or run it as the user of the instance"
        return _not_kept(folder, error.strerror or str(error), remedy)
    return None


def read_record(folder: Path) -> BenchRun | None:
    """The last run of the deployment in `folder`; None where none was kept.

    Raises:
        ValueError: there is a file, and it cannot be read as one.
    """
    try:
        document: JsonValue = json.loads(files.read_text(folder / FILE))
    except FileNotFoundError:
        return None
    except (OSError, RecursionError) as error:
        raise ValueError(f"{folder / FILE}: {error}") from None
    return decode_run(document, FILE)


def _not_kept(folder: Path, message: str, remedy: str) -> Problem:
    return Problem(
        "bench-not-kept",
        f"the result cannot be kept for `ernie-deploy report`: {message}",
        str(folder / FILE),
        remedy,
    )
