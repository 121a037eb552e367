"""The last smoke run of an instance or a service, kept in its folder for `ernie-deploy report`.

One file, replaced by the next run. Transcripts are cut until it is at most `LARGEST`: first
those of checks that passed, then the texts of all, then all of them. They hold no secrets: the
transcript itself takes them out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from launcher import files
from launcher.codec import DecodeError, decode, encode
from launcher.errors import Problem
from launcher.json_values import JsonValue
from launcher.smoke.clients.transcript import ExchangeRecord
from launcher.smoke.run.results import CheckResult, SmokeRun

FILE = "smoke.json"
RECORD_SCHEMA = "ernie-deploy/smoke-record/1"
LARGEST = 1024 * 1024
"""Bytes of the file."""
LONGEST_TEXT = 1000
"""Characters of a body, and of an event, where texts are cut."""
MOST_EVENTS = 12
"""Events of a stream where texts are cut."""


@dataclass(frozen=True)
class SmokeRecord:
    """A run as it was kept; `cut` says what of its transcripts is missing, None where nothing is.

    `at` is when it ended, in Unix seconds.
    """

    run: SmokeRun
    at: float
    cut: str | None = None
    schema: str = RECORD_SCHEMA


def keep(folder: Path, run: SmokeRun, at: float) -> Problem | None:
    """Store `run` as the last one of the deployment in `folder`; why it could not be, or None."""
    if not folder.is_dir():
        return None  # it was removed while the checks ran: there is nothing to report on
    try:
        files.write_atomically(folder / FILE, fit(run, at))
    except OSError as error:
        return Problem(
            "smoke-not-kept",
            f"the result cannot be kept for `ernie-deploy report`: {error.strerror or error}",
            str(folder / FILE),
            "free some disk space, or run it as the user of the instance",
        )
    return None


def read_record(folder: Path) -> SmokeRecord | None:
    """The last run of the deployment in `folder`; None where none was kept.

    Raises:
        ValueError: there is a file, and it cannot be read as one.
    """
    try:
        document = json.loads(files.read_text(folder / FILE))
    except FileNotFoundError:
        return None
    except (OSError, RecursionError) as error:
        raise ValueError(f"{folder / FILE}: {error}") from None
    return decode(SmokeRecord, document, FILE, schema=RECORD_SCHEMA, tolerant=True)


def read_document(document: JsonValue) -> SmokeRun:
    """The run in what `smoke --json` printed, or in a kept record.

    Raises:
        DecodeError: the document is something else.
    """
    if isinstance(document, dict) and document.get("schema") == RECORD_SCHEMA:
        return decode(SmokeRecord, document, FILE, tolerant=True).run
    if not isinstance(document, dict) or document.get("command") != "smoke":
        raise DecodeError("command: expected 'smoke': it is not the output of `smoke --json`")
    return decode(SmokeRun, document.get("data"), "data", tolerant=True)


def fit(run: SmokeRun, at: float) -> str:
    """The text of the record: whole where that is small enough, else with less of its evidence."""
    steps: tuple[tuple[str | None, Callable[[CheckResult], CheckResult]], ...] = (
        (None, lambda one: one),
        ("the transcripts of checks that passed", _without_passed),
        ("the transcripts of checks that passed, and long texts", _shortened),
        ("all transcripts", lambda one: replace(one, evidence=())),
    )
    text = ""
    for cut, change in steps:
        less = replace(run, checks=tuple(map(change, run.checks)))
        text = json.dumps(encode(SmokeRecord(less, at, cut)), ensure_ascii=True)
        if len(text) <= LARGEST:
            break
    return text


def _without_passed(one: CheckResult) -> CheckResult:
    return replace(one, evidence=()) if one.verdict == "pass" else one


def _shortened(one: CheckResult) -> CheckResult:
    return replace(one, evidence=tuple(map(_short, _without_passed(one).evidence)))


def _short(exchange: ExchangeRecord) -> ExchangeRecord:
    request = exchange.request
    text = request if isinstance(request, str) else json.dumps(request, ensure_ascii=False)
    events = exchange.events[:MOST_EVENTS]
    return replace(
        exchange,
        request=request if len(text) <= LONGEST_TEXT else _cut(text),
        response=None if exchange.response is None else _cut(exchange.response),
        events=tuple(replace(event, data=_cut(event.data)) for event in events),
    )


def _cut(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]} ... ({len(text) - LONGEST_TEXT} more characters)"
