"""The smoke run and the bench run of a card: given as a file, made now, or the last one kept."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from launcher import files
from launcher.bench import record as bench_record
from launcher.bench.result import SCHEMA, BenchRun, decode_run
from launcher.card.payloads import CardBench, CardSmoke
from launcher.errors import UsageError
from launcher.json_values import JsonValue
from launcher.smoke.run import record as smoke_record
from launcher.smoke.run.record import SmokeRecord
from launcher.smoke.run.results import SmokeRun

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is given."""
DEADLINE = 60.0
"""Seconds in which a given file (it may be a pipe) has to be read."""
NO_SMOKE = "no run was kept: `ernie-deploy smoke {name}` keeps one, `--run-smoke` makes one now"
NO_BENCH = "no run was kept: `ernie-deploy bench {name}` keeps one"

T = TypeVar("T")


def given_smoke(path: str) -> CardSmoke:
    """The run in the file of `--smoke`: what `smoke --json` printed.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    run = _read(path, "--smoke", smoke_record.read_document, "the output of `smoke --json`")
    return CardSmoke(run, f"from {path}")


def given_bench(path: str) -> CardBench:
    """The run in the file of `--bench`.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    run = _read(path, "--bench", _bench_document, "a file of `bench --output`")
    return CardBench(run, f"from {path}")


def made_smoke(run: SmokeRun) -> CardSmoke:
    """A run that was made for this card."""
    return CardSmoke(run, "run for this report")


def kept_smoke(
    name: str, folders: Sequence[Path], since: float | None
) -> tuple[CardSmoke | None, str | None]:
    """The newest run that was kept in one of `folders`, or why there is none.

    `since` is when what runs now was started, in Unix seconds.
    """
    records: list[SmokeRecord] = []
    problems: list[str] = []
    for folder in folders:
        try:
            one = smoke_record.read_record(folder)
        except ValueError as error:
            problems.append(f"the kept run cannot be read: {error}")
            continue
        records += [one] if one is not None else []
    if not records:
        return None, "; ".join(problems) or NO_SMOKE.format(name=name)
    newest = max(records, key=lambda one: one.at)
    return CardSmoke(newest.run, "the last run", _outdated(newest.at, since), newest.cut), None


def kept_bench(name: str, since: float | None) -> tuple[CardBench | None, str | None]:
    """As `kept_smoke`, of bench runs."""
    try:
        run = bench_record.last_run(name)
    except ValueError as error:
        return None, f"the kept run cannot be read: {error}"
    if run is None:
        return None, NO_BENCH.format(name=name)
    return CardBench(run, "the last run", _outdated(_moment(run.started), since)), None


def _outdated(at: float, since: float | None) -> str | None:
    if since is None or at >= since:
        return None
    return "it was made before what runs now was started"


def _moment(text: str) -> float:
    """A time in ISO 8601 as Unix seconds; 0 where it is none."""
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return 0.0


def _bench_document(document: JsonValue) -> BenchRun:
    """What `bench --output` wrote, or the envelope that `bench --json` printed."""
    if isinstance(document, dict) and document.get("command") == "bench":
        data = document.get("data")
        document = {**data, "schema": SCHEMA} if isinstance(data, dict) else data
    return decode_run(document)


def _read(path: str, option: str, decode: Callable[[JsonValue], T], expected: str) -> T:
    try:
        data = files.read_input(path, LARGEST, DEADLINE)
        if len(data) > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        return decode(json.loads(data.decode("utf-8")))
    except OSError as error:
        raise UsageError.of(
            "unreadable-run", f"{path} cannot be read: {error.strerror or error}", option,
            f"give {expected}",
        ) from None  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise UsageError.of(
            "unreadable-run", f"{path} is not {expected}: {error}", option, f"give {expected}"
        ) from None
