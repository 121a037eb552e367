"""The last smoke run is kept beside the instance, and never grows beyond its limit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.codec import DecodeError
from launcher.smoke.run import record
from launcher.smoke.run.results import SmokeRun
from tests.report.results import check, exchange, smoke_result


def run_of(*checks: dict[str, object]) -> SmokeRun:
    run: SmokeRun = smoke_result(*checks).payload
    return run


def large(verdict: str, name: str, size: int, count: int) -> dict[str, object]:
    """A check with `count` requests, each with an answer of `size` characters."""
    return check(name, verdict, evidence=[exchange(response="x" * size)] * count)


def test_a_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    run = run_of(check("passes"), check("fails", "fail"))
    assert record.keep(tmp_path, run, 12.5) is None
    assert record.read_record(tmp_path) == record.SmokeRecord(run, 12.5)
    assert (tmp_path / record.FILE).stat().st_mode & 0o777 == 0o600


def test_the_next_run_takes_its_place(tmp_path: Path) -> None:
    for seconds in (1.0, 2.0):
        record.keep(tmp_path, run_of(check("passes")), seconds)
    kept = record.read_record(tmp_path)
    assert kept is not None
    assert kept.at == 2.0
    assert os.listdir(tmp_path) == [record.FILE]


@pytest.mark.parametrize(
    ("checks", "cut"),
    [
        ([large("pass", "a", 100, 1)], None),
        ([large("pass", "a", 15_000, 90), large("fail", "b", 100, 1)],
         "the transcripts of checks that passed"),
        ([large("fail", "a", 15_000, 90)], "the transcripts of checks that passed, and long texts"),
        ([large("fail", "a", 900, 2_000)], "all transcripts"),
    ],
)  # fmt: skip
def test_of_a_large_run_only_what_is_needed_is_left_out(checks: list[Any], cut: str | None) -> None:
    run = run_of(*checks)
    text = record.fit(run, 1.0)
    assert len(text) <= record.LARGEST
    assert json.loads(text).get("cut") == cut
    assert len(json.loads(text)["run"]["checks"]) == len(checks), "a verdict is never left out"


def test_a_failure_keeps_its_transcript_longer_than_a_pass() -> None:
    run = run_of(large("pass", "a", 15_000, 90), large("fail", "b", 100, 1))
    passed, failed = json.loads(record.fit(run, 1.0))["run"]["checks"]
    assert passed["evidence"] == []
    assert failed["evidence"][0]["response"] == "x" * 100


def test_where_it_cannot_be_kept_it_is_said() -> None:
    problem = record.keep(Path("/proc"), run_of(check("passes")), 1.0)
    assert problem is not None
    assert (problem.code, problem.where) == ("smoke-not-kept", "/proc/smoke.json")


def test_an_instance_that_was_removed_meanwhile_has_no_record(tmp_path: Path) -> None:
    assert record.keep(tmp_path / "gone", run_of(check("passes")), 1.0) is None
    assert not (tmp_path / "gone").exists()
    assert record.read_record(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "ernie-deploy/smoke-record/9"}', "\x00"])
def test_a_damaged_record_is_an_error_and_no_run(text: str, tmp_path: Path) -> None:
    (tmp_path / record.FILE).write_text(text)
    with pytest.raises(ValueError, match=r"smoke\.json|schema|Expecting"):
        record.read_record(tmp_path)


def test_what_smoke_prints_is_read_too() -> None:
    result = smoke_result(check("passes"))
    printed = json.loads(json.dumps(result.envelope()))
    assert record.read_document(printed) == result.payload
    kept = json.loads(record.fit(result.payload, 1.0))
    assert record.read_document(kept) == result.payload
    with pytest.raises(DecodeError, match="smoke --json"):
        record.read_document({"command": "doctor", "data": {}})
