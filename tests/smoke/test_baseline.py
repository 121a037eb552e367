"""The file of `compare --save-baseline`: what is in it, and which files are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.smoke.comparison import baseline
from launcher.smoke.comparison.baseline import Standing

RATES = {"trigger_rate": 0.5, "trigger_accuracy": 1.0, "schema_accuracy": None}
STANDINGS = {"ernie": Standing({"chat": "pass", "tool-call": "fail"}, RATES)}
STORED = {
    "schema": "ernie-deploy/baseline/1",
    "targets": {
        "ernie": {"verdicts": {"chat": "pass", "tool-call": "fail"}, "tools": RATES},
    },
}
"""As it was from the first release on."""


def test_a_file_is_what_the_first_release_wrote(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    assert baseline.store(path, STANDINGS) is None
    assert path.read_text(encoding="utf-8") == json.dumps(STORED, indent=1) + "\n"
    assert baseline.read(path) == STANDINGS


def test_a_newer_file_of_the_same_schema_is_read(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    entry = {"verdicts": {"chat": "pass"}, "tools": {}, "speed": {"chat": 1.0}}
    newer = {**STORED, "written": "2027", "targets": {"ernie": entry}}
    path.write_text(json.dumps(newer), encoding="utf-8")
    assert baseline.read(path) == {"ernie": Standing({"chat": "pass"}, {})}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the baseline cannot be read: "),
        ("\udcff", "the baseline cannot be read: "),
        ("[" * 100_000, "the baseline cannot be read: "),
        ("[]", "not a baseline: schema: expected 'ernie-deploy/baseline/1', got None"),
        (
            json.dumps({**STORED, "schema": "ernie-deploy/baseline/2"}),
            "got 'ernie-deploy/baseline/2'; another release of ernie-deploy wrote it",
        ),
        (json.dumps({"schema": baseline.SCHEMA}), "not a baseline: targets: is missing"),
        (
            json.dumps({**STORED, "targets": {"a": {"verdicts": {"chat": 1}, "tools": {}}}}),
            "not a baseline: targets.a.verdicts.chat: expected a text, got 1",
        ),
        (
            json.dumps({**STORED, "targets": {"a": {"verdicts": {}, "tools": {"x": True}}}}),
            "not a baseline: targets.a.tools.x: expected a number, got True",
        ),
    ],
)
def test_another_file_is_refused_with_the_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        baseline.read(path)
    assert message in str(caught.value)
    assert [(p.code, p.where) for p in caught.value.problems] == [("bad-baseline", str(path))]
